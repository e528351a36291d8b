package logins

import (
	"context"
	"fmt"
	"time"
)

// storm lets all users sign in and connect, from a cold start, within a short time.
func (r *run) storm(ctx context.Context) error {
	c, err := r.stage.startChain(ctx, r.bar, chainSpec{brokers: 1, desktops: r.o.Users})
	if err != nil {
		return err
	}
	defer c.close()
	t := c.clients()
	t.Journey, t.Stay, t.Poisson, t.Busy = true, true, true, true
	t.Count = r.o.Users
	t.Rate = float64(r.o.Users) / r.o.StormFor.Seconds()
	v, err := r.load(ctx, "storm", t, c.meter())
	if err != nil {
		return err
	}
	r.keep(v)
	name := fmt.Sprintf("storm of %d users in %s, from cold", r.o.Users, r.o.StormFor)
	r.report.add(
		row(name+": in", "users", float64(v.OK)).atLeast(float64(r.o.Users)).note("%d failed, %d refused, %d had to wait; the limit: %s", v.Failed, v.Busy, v.Waited, v.CPU.limit()),
		row(name+": slowest login", "s", v.Login.Max/1000).atMost(maxLoginWait).note("p50 %s, p99 %s ms; with connect %s and %s ms",
			number(v.Login.P50), number(v.Login.P99), number(v.Journey.P50), number(v.Journey.P99)))
	return nil
}

// slow offers a directory that is slow three times what it can do, and watches how the broker takes
// it, and how it comes back.
func (r *run) slow(ctx context.Context) error {
	s := r.stage
	cert, key := s.ca.Files("slow")
	door, err := s.client(task{Role: roleSlow, LDAP: s.ldap.Addr, CA: s.ca.CAFile(), Listen: s.host + ":0", Cert: cert, KeyFile: key, PerSec: r.o.SlowRate})
	if err != nil {
		return err
	}
	defer door.stop()
	var ready loadReady
	if err := door.read(&ready); err != nil {
		return err
	}
	c, err := s.startChain(ctx, r.bar, chainSpec{brokers: 1, desktops: desktops, directory: "ldaps://" + ready.Addr})
	if err != nil {
		return err
	}
	defer c.close()
	t := c.clients()
	t.Rate, t.For, t.Poisson, t.Busy = r.o.SlowLoad, r.o.SlowFor, true, true
	watching, stop := context.WithCancel(ctx)
	watched := make(chan queueWatch, 1)
	go func() { watched <- c.watchQueue(watching) }()
	v, err := r.load(ctx, "slow directory", t, c.meter())
	if err == nil {
		sleep(ctx, 2*maxRecovery*time.Second) // so that the watcher sees the way back to its end
	}
	stop()
	w := <-watched
	if err != nil {
		return err
	}
	r.keep(v)
	r.reportSlow(v, w)
	return nil
}

// reportSlow adds the rows.
func (r *run) reportSlow(v *Measured, w queueWatch) {
	name := fmt.Sprintf("directory slowed to %s/s, %s/s offered for %s", number(r.o.SlowRate), number(r.o.SlowLoad), r.o.SlowFor)
	r.report.add(
		row(name+": signed in", "logins/s", v.goodput(r.o.SlowFor)).atLeast(minGoodput*r.o.SlowRate).
			note("%d offered, %d signed in, %d refused at once, %d failed; %d had to wait", v.Offered, v.OK, v.Busy, v.Failed, v.Waited),
		row(name+": slowest login that was accepted", "s", v.Login.Max/1000).atMost(maxLoginWait),
		row(name+": accepted and then not signed in", "logins", float64(v.Failed+v.Broken)).atMost(0),
		row(name+": is_alive said 503, and 200 again", "times", w.times()).atLeast(1).note("%s", w),
		row(name+": from a low queue to is_alive 200", "s", w.recovery.Seconds()).atMost(maxRecovery))
}

// goodput is logins answered well in a second while the directory had all it could do: from the time
// when the queue has begun to fill to the end of the offer.
func (r *Result) goodput(length time.Duration) float64 {
	from, to := int(length.Seconds())/10, int(length.Seconds())
	sum := 0
	for i := from; i < min(to, len(r.Seconds)); i++ {
		sum += r.Seconds[i].Done
	}
	return float64(sum) / float64(max(1, to-from))
}
