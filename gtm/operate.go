package gtm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"switchpoint/gtm/nodes"
	"switchpoint/gtm/steer"
)

// UnsafeError is what the safety rules refuse.
type UnsafeError struct {
	Err      error // a problem.List
	Forcible bool  // they would let it through with force
}

// Error gives their reason.
func (e *UnsafeError) Error() string { return "the safety rules refuse this: " + e.Err.Error() }

// Unwrap gives the problem.List of the rules.
func (e *UnsafeError) Unwrap() error { return e.Err }

// ackWait is how long a change waits for the other nodes. They take it later too.
const ackWait = 5 * time.Second

// Operate makes the next version of the operators' document with change and hands it to the other
// nodes; it says who has it. The safety rules may refuse it (*UnsafeError), some of it only unless force is given. The
// view that queries are answered from follows the document when Operate returns.
func (s *Server) Operate(ctx context.Context, owner string, change func(*steer.Operator) error, force bool) (*steer.Operator, []nodes.Ack, error) {
	ctx, cancel := context.WithTimeout(ctx, ackWait)
	defer cancel()
	next, acks, err := s.nodes.Change(ctx, func(o *steer.Operator) error {
		if err := change(o); err != nil {
			return err
		}
		now := s.standing.Load()
		if now == nil {
			return errors.New("the node has no configuration yet; try again when it serves")
		}
		return safe(now, o, force)
	})
	if next == nil {
		return nil, nil, err
	}
	s.refresh()
	if err != nil { // another change has replaced it
		return next, acks, err
	}
	s.log.Info("operators have said something new", "owner", owner, "version", next.Version, "mode", next.Mode, "overrides", len(next.Overrides))
	return next, acks, nil
}

// safe asks the safety rules about the next version of the document.
func safe(now *standing, next *steer.Operator, force bool) error {
	check := func(force bool) error {
		return steer.Check(now.table.steering, now.view, next, time.Now(), force)
	}
	err := check(force)
	if err == nil {
		return nil
	}
	return &UnsafeError{Err: err, Forcible: !force && check(true) == nil}
}

// SetMode is the change to a mode of operation (TP4).
func SetMode(mode string, note steer.Note) func(*steer.Operator) error {
	return func(o *steer.Operator) error {
		if mode != steer.ModePrimary && mode != steer.ModeDR {
			return fmt.Errorf("%q is no mode; write %s or %s", mode, steer.ModePrimary, steer.ModeDR)
		}
		if err := complete(note); err != nil {
			return err
		}
		o.Mode, o.ModeWhy = mode, note
		return nil
	}
}

// Force is the change that puts what a pattern names into a state, in the place of what was said
// for the same pattern before.
func Force(v steer.Override) func(*steer.Operator) error {
	return func(o *steer.Operator) error {
		if err := errors.Join(v.Validate(), complete(v.Note)); err != nil {
			return err
		}
		if len(o.Overrides) >= steer.MaxOverrides {
			return fmt.Errorf("there are %d overrides, which is as many as there can be; release some", len(o.Overrides))
		}
		*o = *o.With(v)
		return nil
	}
}

// Release is the change that takes the overrides under a pattern back, and ends the manual-resume
// holds under it. removed gets the overrides.
func Release(pattern string, note steer.Note, removed *[]steer.Override) func(*steer.Operator) error {
	return func(o *steer.Operator) error {
		if err := (steer.Override{Pattern: pattern, State: "up", Note: note}).Validate(); err != nil {
			return err
		}
		*removed = nil
		kept := make([]steer.Override, 0, len(o.Overrides))
		for _, v := range o.Overrides {
			if steer.Covers(pattern, v.Pattern) {
				*removed = append(*removed, v)
			} else {
				kept = append(kept, v)
			}
		}
		o.Overrides = kept
		if strings.Count(pattern, "/") > 1 {
			return nil // an address: pools are held, not members
		}
		o.Releases = slices.DeleteFunc(o.Releases, func(r steer.Release) bool { return strings.EqualFold(r.Pattern, pattern) })
		o.Releases = append(o.Releases, steer.Release{Pattern: pattern, Note: note})
		return nil
	}
}

// complete asks for what people will want to read later.
func complete(n steer.Note) error {
	if strings.TrimSpace(n.Reason) == "" {
		return errors.New("a reason is missing; say why, for those who will see it")
	}
	return n.Validate()
}
