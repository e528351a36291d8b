package main

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"switchpoint/broker/client"
	"switchpoint/directory/demodir"
)

// farmLogins are users of a farm who sign in at an even pace, whatever becomes of the ones before them. They
// ask gtm and go where it says; one that is refused has failed.
type farmLogins struct {
	f     *farm
	stop  func() // no one comes any more, and all have their answers
	mu    sync.Mutex
	phase string
	all   []farmLogin
}

type farmLogin struct {
	phase  string // in which it began
	began  time.Time
	took   time.Duration
	broker int // its site id
	again  int // how often a broker asked him to wait
	err    error
}

func (f *farm) startLogins(t *testing.T, phase string) *farmLogins {
	t.Helper()
	l := &farmLogins{f: f, phase: phase}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		start, pace := time.Now(), time.Duration(farmPace())
		for i := 0; ; i++ {
			due := start.Add(time.Duration(i) * time.Second / pace)
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Until(due)):
				wg.Go(func() { l.signIn(i, due) })
			}
		}
	})
	l.stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(l.stop)
	return l
}

// options are those of the i-th client, which has an address of its own.
func (f *farm) options(i int) client.Options {
	u := demodir.Users()[i%len(demodir.Users())]
	return client.Options{
		URL: f.url, DNS: []string{f.dns}, User: u.Name, Password: u.Password, OffersOnly: true, Patience: farmPatience, Timeout: 20 * time.Second,
		Source: netip.AddrFrom4([4]byte{127, byte(64 + i/62500%64), byte(i / 250 % 250), byte(1 + i%250)}),
	}
}

func (l *farmLogins) signIn(i int, due time.Time) {
	l.mu.Lock()
	one := farmLogin{phase: l.phase, began: due}
	l.mu.Unlock()
	out, err := client.Login(context.Background(), l.f.options(i))
	if err == nil && len(out.Offers) == 0 {
		err = errors.New("signed in, but nothing is offered")
	}
	one.took, one.broker, one.err = time.Since(due), out.Broker.SiteID, err
	for _, h := range out.Hops {
		if h.Step == "busy" {
			one.again++
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, one)
}

func (l *farmLogins) enter(phase string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.phase = phase
}

// count is how many have had their answer that began after a moment, of one broker or of any (0).
func (l *farmLogins) count(after time.Time, broker int) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, one := range l.all {
		if one.began.After(after) && (broker == 0 || one.broker == broker) {
			n++
		}
	}
	return n
}

// goOn waits for logins that begin from now on.
func (l *farmLogins) goOn(n int) {
	l.f.t.Helper()
	now := time.Now()
	l.f.until("users sign in", func() bool { return l.count(now, 0) >= n })
}

// report ends it and prints what users met, phase by phase. None may have failed.
func (l *farmLogins) report(t *testing.T) {
	t.Helper()
	l.stop()
	var phases []string
	took, failed, again, shown := make(map[string][]time.Duration), make(map[string]int), make(map[string]int), 0
	for _, one := range l.all {
		if !slices.Contains(phases, one.phase) {
			phases = append(phases, one.phase)
		}
		took[one.phase] = append(took[one.phase], one.took)
		again[one.phase] += one.again
		if one.err == nil {
			continue
		}
		if failed[one.phase]++; shown < 5 {
			shown++
			t.Logf("%s, after %s: %v", one.phase, one.took.Round(time.Millisecond), one.err)
		}
	}
	for _, phase := range phases {
		list := took[phase]
		slices.Sort(list)
		at := func(part float64) time.Duration { return list[int(float64(len(list)-1)*part)].Round(time.Millisecond) }
		t.Logf("%-28s %5d logins, %d failed, %d asked to wait; half of them within %s, p99 %s, slowest %s", phase, len(list), failed[phase], again[phase], at(0.5), at(0.99), at(1))
		if failed[phase] > 0 {
			t.Errorf("%d logins failed: %s", failed[phase], phase)
		}
	}
}
