package healthcheck

import (
	"fmt"
	"strings"
	"time"
)

// Fact is one thing that is known of a check, with who says it and since when.
type Fact struct {
	Name   string // observed, judged, traffic, dependency, manual resume, maintenance, override
	State  State
	Reason string
	Source string
	At     time.Time // zero: not known
}

// Reports counts what traffic said of a check since it came into the table.
type Reports struct {
	Served, Failed, Overloaded uint64
	// RecentFails of the last Window requests failed; Fall of them put the target down.
	RecentFails, Fall, Window int
}

// Detail is everything that is known of one check.
type Detail struct {
	CheckStatus
	// Facts are what the effective state (Status) was made of, in the order in which they count,
	// the weakest first.
	Facts []Fact
	// Need says what judging waits for.
	Fall, Rise int
	Next       time.Duration // until the next probe; negative when it is due or under way
	Override   *Override
	Reports    Reports
	Parent     string // what it depends on, "address/monitor"
	Events     []Event
}

// Show tells everything of one check; false when no table and no room asked for it.
func (e *Engine) Show(k Key) (Detail, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.checks[k]
	if c == nil {
		return Detail{}, false
	}
	d := Detail{
		CheckStatus: CheckStatus{
			Key: k, Ref: c.ref, Status: c.status, Judged: c.j.state, Last: c.last,
			Fails: c.j.fails, Successes: c.j.oks,
		},
		Facts: e.tell(c), Override: c.force, Events: c.past.events(),
		Next: c.due - time.Since(e.start),
	}
	if c.parent != nil {
		d.Parent = c.parent.name()
	}
	if c.mon != nil {
		d.Fall, d.Rise = c.mon.def.Fall, c.mon.def.Rise
	}
	if cell := e.passive.cell(c.ref); cell != nil {
		limit := cell.limit.Load()
		d.Reports = Reports{
			Served: uint64(cell.served.Load()), Failed: uint64(cell.failed.Load()), Overloaded: uint64(cell.busy.Load()),
			RecentFails: failsIn(cell.bits.Load(), limit&0xff), Fall: int(limit >> 8), Window: int(limit & 0xff),
		}
	}
	return d, true
}

// tell lists the facts of c. e.mu is held.
func (e *Engine) tell(c *check) []Fact {
	f := e.factsOf(c)
	out := []Fact{
		{"observed", c.last.State, c.last.Reason, "newest probe", c.last.At},
		{"judged", f.state, f.reason, "probes", c.j.since},
	}
	if c.last.At.IsZero() {
		out[0].Reason = notYet
	}
	add := func(on bool, fact Fact) {
		if on {
			out = append(out, fact)
		}
	}
	add(c.before != nil && f.before != Unknown, Fact{"before", f.before, f.earlier, FromRestart.String(), c.status.At})
	add(f.ejected != "", Fact{"traffic", Down, f.ejected, FromTraffic.String(), time.Time{}})
	if f.parent != "" {
		add(true, Fact{"dependency", Down, f.parent + " is down", FromDependency.String(), c.parent.status.Since})
	}
	add(f.held, Fact{"hold", Down, "released by an operator only", FromHold.String(), time.Time{}})
	add(f.window != "", Fact{"maintenance", Maintenance, f.window, FromMaintenance.String(), time.Time{}})
	if f.force != nil {
		add(true, Fact{"override", f.force.State, f.force.said(), f.force.Owner, f.force.Set})
	}
	return append(out, Fact{"effective", c.status.State, c.status.Reason, c.status.Source.String(), c.status.Since})
}

// Lines is d as one screen of text. What the target sent is quoted.
func (d Detail) Lines() []string {
	s := d.Status
	out := []string{fmt.Sprintf("%s/%s is %s%s", d.Key.Address, d.Key.Monitor, s.State, since(s.Since)), "  why        " + s.Reason, "facts"}
	for _, f := range d.Facts {
		out = append(out, fmt.Sprintf("  %-11s%-12s%s [%s%s]", f.Name, f.State, f.Reason, f.Source, since(f.At)))
	}
	out = append(out, "newest probe", "  "+steps(d.Last.Resolve, d.Last.Dial, d.Last.TLS, d.Last.TTFB, d.Last.Total))
	if d.Last.Status != 0 {
		out = append(out, fmt.Sprintf("  status     %d", d.Last.Status))
	}
	if len(d.Last.FirstBytes) > 0 {
		out = append(out, "  bytes      "+show(d.Last.FirstBytes))
	}
	if !d.Last.CertExpiry.IsZero() {
		out = append(out, "  certificate until "+d.Last.CertExpiry.UTC().Format(time.DateTime)+" UTC")
	}
	out = append(out, fmt.Sprintf("  connection %s, started %s late, next in %s", opened(d.Last), short(d.Last.Late), short(max(0, d.Next))))
	if l := s.Load; l != noLoad {
		out = append(out, fmt.Sprintf("load         %d of %d, mode %q%s", l.Active, l.Capacity, l.Mode, since(s.ModeSince)))
	}
	out = append(out, fmt.Sprintf("counts       %d of %d failures to fall, %d of %d successes to rise", d.Fails, d.Fall, d.Successes, d.Rise))
	if r := d.Reports; r.Window > 0 {
		out = append(out, fmt.Sprintf("traffic      %d served, %d failed, %d overloaded; %d of the last %d failed, %d put it down",
			r.Served, r.Failed, r.Overloaded, r.RecentFails, r.Window, r.Fall))
	}
	if d.Parent != "" {
		out = append(out, "depends on   "+d.Parent)
	}
	return append(out, eventLines(d.Events)...)
}

// shownEvents fit on a screen with the rest.
const shownEvents = 10

func eventLines(evs []Event) []string {
	if len(evs) == 0 {
		return nil
	}
	out := []string{"history"}
	for _, ev := range evs[max(0, len(evs)-shownEvents):] {
		out = append(out, "  "+ev.String())
	}
	return out
}

// String is the event on one line.
func (ev Event) String() string {
	at := ev.At.UTC().Format(time.DateTime)
	if ev.Kind == Moved {
		return fmt.Sprintf("%s  %s > %s [%s] %s (%s)", at, ev.From, ev.To, ev.Source, ev.Reason, steps(ev.Resolve, ev.Dial, ev.TLS, ev.TTFB, ev.Total))
	}
	line := at + "  failed: " + ev.Reason
	if ev.Times > 1 {
		line += fmt.Sprintf(", %d times until %s", ev.Times, ev.Until.UTC().Format(time.TimeOnly))
	}
	if len(ev.FirstBytes) > 0 {
		line += ", bytes " + show(ev.FirstBytes)
	}
	return line + " (" + steps(ev.Resolve, ev.Dial, ev.TLS, ev.TTFB, ev.Total) + ")"
}

func steps(resolve, dial, secure, ttfb, total time.Duration) string {
	var b strings.Builder
	for _, s := range []struct {
		name string
		d    time.Duration
	}{{"resolve", resolve}, {"connect", dial}, {"TLS", secure}, {"first byte", ttfb}, {"total", total}} {
		if s.d > 0 {
			fmt.Fprintf(&b, "%s %s, ", s.name, short(s.d))
		}
	}
	if b.Len() == 0 {
		return "no step was reached"
	}
	return strings.TrimSuffix(b.String(), ", ")
}

func since(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return " since " + at.UTC().Format(time.DateTime) + " UTC"
}

func opened(r Result) string {
	if r.Kept {
		return "kept from an earlier probe"
	}
	return "opened for it"
}
