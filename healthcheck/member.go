package healthcheck

// Member is an expression over checks: of these, at least Min must hold.
type Member struct {
	Refs []Ref
	// Min is how many of Refs must be up; 0 means all.
	Min int
}

// Member folds the checks of one member into one status. With k = Min (0: all):
//
//	no checks                                     up, "not monitored"
//	k up                                          up
//	k up or overloaded                            overloaded
//	k only if the unknown ones turn out well      unknown
//	k only with the draining (maintenance) ones   draining (maintenance)
//	otherwise                                     down
//
// The reason is that of the first check in the deciding state; load and TTFB are those of the
// first check that has them; At is the newest. Steady is the least: any check may turn the member.
func (s *Snapshot) Member(m Member) Status {
	switch len(m.Refs) {
	case 0:
		return Status{State: Up, Reason: "not monitored", Load: noLoad, Steady: MaxSteady}
	case 1:
		return s.Get(m.Refs[0])
	}
	var count [Maintenance + 1]int
	for _, ref := range m.Refs {
		count[s.Get(ref).State]++
	}
	need := m.Min
	if need <= 0 || need > len(m.Refs) {
		need = len(m.Refs)
	}
	state, have := Down, 0
	for _, st := range [...]State{Up, Overloaded, Unknown, Draining, Maintenance} {
		if have += count[st]; have >= need {
			state = st
			break
		}
	}
	return s.fold(m.Refs, state)
}

// fold collects the facts behind a member whose state is decided.
func (s *Snapshot) fold(refs []Ref, state State) Status {
	out := Status{State: state, Load: noLoad, Steady: MaxSteady}
	found := false
	for _, ref := range refs {
		c := s.Get(ref)
		if c.State == state && !found {
			out.Reason, out.Since, out.Source, found = c.Reason, c.Since, c.Source, true
		}
		out.Steady = min(out.Steady, c.Steady)
		if c.At.After(out.At) {
			out.At = c.At
		}
		if out.TTFB == 0 {
			out.TTFB = c.TTFB
		}
		if out.Load == noLoad {
			out.Load, out.ModeSince = c.Load, c.ModeSince
		}
	}
	return out
}
