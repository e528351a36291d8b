package mode

import (
	"fmt"
	"slices"
	"time"
)

// Next is the state after s, at the moment now. It is s itself, with its Since, while the mode stays.
func (p Profile) Next(s State, f Facts, now time.Time) State {
	to := s
	to.Outages = slices.DeleteFunc(slices.Clone(s.Outages), func(t time.Time) bool { return now.Sub(t) > p.FlapWithin })
	to.Mode, to.Reason = p.decide(to, f, now)
	if to.Mode != s.Mode {
		to.Since = now
	}
	if to.Mode.outage() && !s.Mode.outage() && f.Good.IsZero() { // a drill is not the database's fault
		to.begin(p, now)
	}
	to.Refuses = ""
	if to.Mode.outage() && f.Winner != "" && f.Winner != f.Self {
		to.Refuses = "broker " + f.Winner + " serves in this outage"
	}
	return to
}

// begin notes that an outage begins.
func (s *State) begin(p Profile, now time.Time) {
	s.Outages = append(s.Outages, now)
	if len(s.Outages) >= p.Flaps {
		s.Hold = now.Add(p.Hold)
	}
}

// decide gives the mode that the facts ask for.
func (p Profile) decide(s State, f Facts, now time.Time) (Mode, string) {
	if f.Force.Holds(now) {
		if m, why, ok := p.forced(f); ok {
			return m, why
		}
	}
	switch s.Mode {
	case HostCache, Leased:
		return p.inOutage(s, f, now)
	case Recovering:
		switch {
		case p.lost(f, now) && f.Peer != "":
			return Draining, p.aside(f)
		case p.lost(f, now):
			return p.outage(f, p.lostWhy(f, now))
		case f.Good.IsZero():
			return Recovering, "the newest question to the database failed: " + f.Why
		case f.Unmerged > 0:
			return Recovering, fmt.Sprintf("%d acts of the outage are to be merged", f.Unmerged)
		}
		return Normal, "all is merged"
	}
	switch {
	case p.lost(f, now) && f.Peer == "":
		return p.outage(f, p.lostWhy(f, now))
	case f.Good.IsZero() && f.Peer != "":
		return Draining, p.aside(f)
	case f.Good.IsZero() && s.Mode == Draining:
		return Draining, s.Reason // until it is sure
	case f.Unmerged > 0:
		return Recovering, fmt.Sprintf("%d acts of an earlier outage are to be merged", f.Unmerged)
	case f.Good.IsZero():
		return Normal, "the newest question to the database failed: " + f.Why
	}
	return Normal, "the database answers"
}

// inOutage decides whether it goes on.
func (p Profile) inOutage(s State, f Facts, now time.Time) (Mode, string) {
	stable := p.stableFor(f, now)
	switch {
	case stable <= 0 && f.Peer != "":
		return Draining, p.aside(f)
	case stable <= 0:
		return p.outage(f, "the database does not answer: "+f.Why)
	case now.Before(s.Hold):
		return p.outage(f, fmt.Sprintf("the database was lost %d times within %s: the outage lasts until %s at least", p.Flaps, p.FlapWithin, s.Hold.UTC().Format(time.TimeOnly+" UTC")))
	case stable < p.Stable:
		return p.outage(f, fmt.Sprintf("the database has answered for %s; it has to for %s", stable.Round(time.Second), p.Stable))
	case f.Unmerged > 0:
		return Recovering, fmt.Sprintf("the database has answered for %s; %d acts are to be merged", stable.Round(time.Second), f.Unmerged)
	}
	return Normal, fmt.Sprintf("the database has answered for %s, and there is nothing to merge", stable.Round(time.Second))
}

// outage picks what to serve from.
func (p Profile) outage(f Facts, why string) (Mode, string) {
	switch {
	case f.Cache.Usable:
		return HostCache, why
	case f.Leases.Usable:
		return Leased, fmt.Sprintf("%s; the host cache cannot serve: %s", why, f.Cache.Why)
	}
	return Draining, fmt.Sprintf("%s; there is nothing to serve from: host cache: %s; leases: %s", why, f.Cache.Why, f.Leases.Why)
}

// aside says why others are to serve (DC7).
func (p Profile) aside(f Facts) string {
	return fmt.Sprintf("the database does not answer here (%s), but it does answer broker %s", f.Why, f.Peer)
}

// forced is what an operator's word comes to; ok is false when it cannot be followed.
func (p Profile) forced(f Facts) (m Mode, why string, ok bool) {
	said := "by " + f.Force.By
	if f.Force.Why != "" {
		said += ": " + f.Force.Why
	}
	if !f.Force.On {
		if f.Unmerged > 0 && !f.Good.IsZero() {
			return Recovering, "forced out of the outage " + said, true
		}
		return Normal, "forced out of the outage " + said, true
	}
	m, why = p.outage(f, "forced into the outage "+said)
	return m, why, m != Draining
}

// lost says whether the database has not taken a write for too long.
func (p Profile) lost(f Facts, now time.Time) bool {
	return f.Good.IsZero() && now.Sub(f.Answered) >= p.Lost
}

func (p Profile) lostWhy(f Facts, now time.Time) string {
	return fmt.Sprintf("the database has not answered for %s: %s", now.Sub(f.Answered).Round(100*time.Millisecond), f.Why)
}

// stableFor is how long the database has answered every question; 0: it does not.
func (p Profile) stableFor(f Facts, now time.Time) time.Duration {
	if f.Good.IsZero() {
		return 0
	}
	return max(now.Sub(f.Good), 1)
}
