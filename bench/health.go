package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// HealthOptions says how long and how wide the health benchmark runs.
type HealthOptions struct {
	Addresses int           // default 10,000; one in a hundred of them is killed
	Monitors  int           // per address; default 10
	Interval  time.Duration // default 5 s
	Steady    time.Duration // length of the first part; default 3 min
	Burners   int           // processes that saturate the cores in the second part; default 1 per core
}

// Limits of design section 7, checked by Health.
const (
	maxProberCores = 1.0
	maxLateP99     = 0.1       // s
	maxProberPeak  = 400 << 20 // bytes
	minSeen        = 0.99      // of the real failures
	seenSlack      = 5 * time.Second
	healthFall     = 3
)

// Health measures a prober process over Addresses x Monitors checks on loopback: first alone,
// then with both cores saturated by other load while one address in a hundred is killed. It
// prints what it saw and returns an error when a limit does not hold.
func Health(ctx context.Context, w io.Writer, o HealthOptions) error {
	h := &healthRun{ctx: ctx, w: w, o: o}
	defer h.stop()
	if err := h.start(); err != nil {
		return err
	}
	if err := h.steady(); err != nil {
		return err
	}
	if err := h.saturated(); err != nil {
		return err
	}
	return errors.Join(h.failures...)
}

type healthRun struct {
	ctx      context.Context
	w        io.Writer
	o        HealthOptions
	load     HealthLoad
	children []*child
	prober   *child
	victims  *child
	failures []error
}

func (h *healthRun) say(format string, args ...any) { _, _ = fmt.Fprintf(h.w, format+"\n", args...) }

// hold prints one figure with its limit and remembers when it does not hold.
func (h *healthRun) hold(ok bool, what string, value, limit any) {
	mark := "holds"
	if !ok {
		mark = "DOES NOT HOLD"
		h.failures = append(h.failures, fmt.Errorf("%s: %v, limit %v", what, value, limit))
	}
	h.say("  %-44s %-14v limit %-10v %s", what, value, limit, mark)
}

func (h *healthRun) stop() {
	for _, c := range h.children {
		c.kill()
	}
}

func (h *healthRun) spawn(name string, args ...string) (*child, error) {
	c, err := spawn(h.ctx, name, append([]string{"bench", "health"}, args...)...)
	if err == nil {
		h.children = append(h.children, c)
	}
	return c, err
}

// start launches the responders and the prober, and waits until every check is up.
func (h *healthRun) start() error {
	ports, err := twoPorts()
	if err != nil {
		return err
	}
	killed := h.o.Addresses / 100
	h.load = HealthLoad{
		Addresses: h.o.Addresses - killed, Victims: killed, Monitors: h.o.Monitors,
		Interval: h.o.Interval, Port: ports[0], Victim: ports[1],
	}
	survivors, err := h.spawn("responder", "--role", "responder", "--port", strconv.Itoa(ports[0]))
	if err != nil {
		return err
	}
	if h.victims, err = h.spawn("victims", "--role", "victims", "--port", strconv.Itoa(ports[1]), "--addresses", strconv.Itoa(killed)); err != nil {
		return err
	}
	for _, c := range []*child{survivors, h.victims} {
		if _, err := c.line(); err != nil {
			return err
		}
	}
	h.prober, err = h.spawn("prober", "--role", "prober",
		"--addresses", strconv.Itoa(h.load.Addresses), "--victims", strconv.Itoa(killed), "--monitors", strconv.Itoa(h.o.Monitors),
		"--interval", h.o.Interval.String(), "--port", strconv.Itoa(ports[0]), "--victim-port", strconv.Itoa(ports[1]))
	if err != nil {
		return err
	}
	checks := h.o.Addresses * h.o.Monitors
	h.say("%d checks (%d addresses x %d monitors) every %s", checks, h.o.Addresses, h.o.Monitors, h.o.Interval)
	for deadline := time.Now().Add(4*h.o.Interval + 20*time.Second); ; {
		s, err := h.sample()
		if err != nil {
			return err
		}
		if s.Up == checks {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("only %d of %d checks came up (%d unknown): %s", s.Up, checks, s.Unknown, s.Reason)
		}
	}
}

// sample reads the prober's next line, of which there is one a second.
func (h *healthRun) sample() (healthSample, error) {
	var s healthSample
	line, err := h.prober.line()
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal([]byte(line), &s)
}

// watch reads samples for d and returns the last; each may look at it and end the watch early.
func (h *healthRun) watch(d time.Duration, each func(healthSample) bool) (healthSample, error) {
	var last healthSample
	for end := time.Now().Add(d); time.Now().Before(end); {
		s, err := h.sample()
		if err != nil {
			return last, err
		}
		last = s
		if each != nil && each(s) {
			break
		}
	}
	return last, nil
}

// steady is the first part: nothing but the prober and its responders.
func (h *healthRun) steady() error {
	if _, err := io.WriteString(h.prober.stdin, "reset\n"); err != nil {
		return err
	}
	first, err := h.sample()
	if err != nil {
		return err
	}
	before, err := usageOf(h.prober.cmd.Process.Pid)
	if err != nil {
		return err
	}
	began := time.Now()
	last, err := h.watch(h.o.Steady, nil)
	if err != nil {
		return err
	}
	after, err := usageOf(h.prober.cmd.Process.Pid)
	if err != nil {
		return err
	}
	took := time.Since(began)
	cores := (after.cpu - before.cpu).Seconds() / took.Seconds()
	probes := last.Probes - first.Probes
	h.say("steady, %.0f s:", took.Seconds())
	h.hold(cores < maxProberCores, "CPU of the prober, cores", fmt.Sprintf("%.2f", cores), maxProberCores)
	h.hold(last.LateP99 >= 0 && last.LateP99 < maxLateP99, "lateness p99, s (bucket bound)", last.LateP99, maxLateP99)
	h.hold(after.peak < maxProberPeak, "memory (peak resident), MB", after.peak>>20, maxProberPeak>>20)
	h.hold(last.EverFalse == 0, "false DOWN", last.EverFalse, 0)
	h.say("  %-44s %.0f/s, %.1f us CPU each", "probes", probes/took.Seconds(), cores*1e6/(probes/took.Seconds()))
	if total := last.Fresh - first.Fresh + last.Kept - first.Kept; total > 0 {
		h.say("  %-44s %.1f %%", "share of fresh connections", 100*(last.Fresh-first.Fresh)/total)
	}
	return nil
}

// saturated is the second part: other processes want all of the CPU, and the victims die.
func (h *healthRun) saturated() error {
	for range h.o.Burners {
		if _, err := h.spawn("burner", "--role", "burn"); err != nil {
			return err
		}
	}
	if _, err := h.watch(2*h.o.Interval, nil); err != nil {
		return err
	}
	h.victims.kill()
	killed := h.load.Victims * h.load.Monitors
	within := healthFall*h.o.Interval + seenSlack
	began := time.Now()
	var seenAt time.Duration
	last, err := h.watch(within, func(s healthSample) bool {
		if seenAt == 0 && float64(s.Victims) >= minSeen*float64(killed) {
			seenAt = time.Since(began)
		}
		return false
	})
	if err != nil {
		return err
	}
	h.say("cores saturated by %d other processes, %d addresses (%d checks) killed:", h.o.Burners, h.load.Victims, killed)
	h.hold(float64(last.Victims) >= minSeen*float64(killed), fmt.Sprintf("real failures seen within %s", within),
		fmt.Sprintf("%.2f %%", 100*float64(last.Victims)/float64(killed)), "99 %")
	if seenAt > 0 {
		h.say("  %-44s %.1f s", "99 % of them seen after", seenAt.Seconds())
	}
	// A little longer: a false DOWN may come late.
	if last, err = h.watch(2*h.o.Interval, nil); err != nil {
		return err
	}
	h.hold(last.EverFalse == 0, "false DOWN", last.EverFalse, 0)
	if last.EverFalse > 0 {
		h.say("  the first false DOWN: %s", last.Reason)
	}
	h.say("  %-44s %.0f", "results set aside by the overrun detector", last.Overruns)
	return nil
}

// twoPorts finds two ports that are free on every loopback address.
func twoPorts() ([2]int, error) {
	var ports [2]int
	var open []net.Listener
	defer func() {
		for _, l := range open {
			_ = l.Close()
		}
	}()
	for i := range ports {
		l, err := net.Listen("tcp", "0.0.0.0:0") //nolint:gosec // G102: a port must be free on all of them
		if err != nil {
			return ports, err
		}
		open = append(open, l)
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

// Burn uses one core until stdin ends.
func Burn(ctx context.Context, stdin io.Reader) error {
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		close(done)
	}()
	for x := uint64(0); ; x++ {
		if x&0xfffff != 0 {
			continue
		}
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return nil
		default:
		}
	}
}

// VictimAddresses are those that Respond serves for the victims of a load.
func VictimAddresses(n, port int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s:%d", loopback(128, i), port)
	}
	return out
}
