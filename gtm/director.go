package gtm

import (
	"context"
	"log/slog"
	"time"

	"switchpoint/gtm/nodes"
	"switchpoint/gtm/steer"
	"switchpoint/healthcheck"
	"switchpoint/peer"
)

// standing is what queries are answered from: swapped as one, so that an answer never mixes a
// table with the view of another.
type standing struct {
	table *Table
	view  *steer.View
}

// table is the configuration of now; nil before the first SetTable.
func (s *Server) table() *Table {
	if now := s.standing.Load(); now != nil {
		return now.table
	}
	return nil
}

// View is what queries are answered from now; nil before the first SetTable.
func (s *Server) View() *steer.View {
	if now := s.standing.Load(); now != nil {
		return now.view
	}
	return nil
}

// Handlers are the methods that peers may call.
func (s *Server) Handlers() map[string]peer.Handler { return s.nodes.Handlers() }

// SetNodes replaces the list of the other nodes. A list that is refused changes nothing.
func (s *Server) SetNodes(c nodes.Config) error { return s.nodes.SetConfig(c) }

// setTable makes t the configuration of every query from now on.
func (s *Server) setTable(t *Table) {
	s.directing.Lock()
	defer s.directing.Unlock()
	s.nodes.SetChecks(t.checks)
	s.domains.configure(t.places)
	s.redirect(t)
	s.changed() // what is due in its view may be sooner than what direct sleeps for
}

// refresh makes a new view of the present table.
func (s *Server) refresh() {
	s.directing.Lock()
	defer s.directing.Unlock()
	if now := s.standing.Load(); now != nil {
		s.redirect(now.table)
	}
}

// redirect makes and publishes the view of a table. s.directing is held.
func (s *Server) redirect(t *Table) {
	before := s.restored
	if now := s.standing.Load(); now != nil {
		before = now.view
	}
	view := steer.Direct(t.steering, before, s.circumstances())
	s.standing.Store(&standing{t, view})
	s.memory.changed()
	s.tellAll(view.Events())
}

// maxTold is how many lines one view may write to the log: a datacenter may serve thousands of names.
const maxTold = 100

func (s *Server) tellAll(events []steer.Event) {
	for _, e := range events[:min(len(events), maxTold)] {
		s.tell(e)
	}
	if more := len(events) - maxTold; more > 0 {
		s.log.Warn("more names and datacenters changed than are logged one by one", "more", more)
	}
}

// tell logs what became different, once.
func (s *Server) tell(e steer.Event) {
	level := slog.LevelInfo
	if e.Bad {
		level = slog.LevelWarn
	}
	var args []any
	for _, a := range []struct{ key, value string }{{"name", e.Name}, {"datacenter", e.Datacenter}, {"why", e.Why}} {
		if a.value != "" {
			args = append(args, a.key, a.value)
		}
	}
	s.log.Log(context.Background(), level, e.What, args...) //nolint:sloglint // one of the few constants of steer
}

// circumstances are those of now.
func (s *Server) circumstances() steer.Circumstances {
	return steer.Circumstances{
		Status: s.nodes.Status(s.snapshot()), Operator: s.nodes.Operator(), Now: time.Now(),
	}
}

// lookAgain bounds how long direct sleeps while something is to become due: overrides begin and end by
// the wall clock, which may be put forward meanwhile, and timers do not follow it.
const lookAgain = time.Minute

// direct keeps the view up to date: with each new snapshot, with each word of operators and
// other nodes, and when something in it becomes due. It returns when ctx ends.
func (s *Server) direct(ctx context.Context) error {
	health := make(chan struct{}, 1)
	if s.subscribe != nil {
		sub := s.subscribe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			follow(ctx, sub, health)
		}()
		defer func() { <-done }()
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-health:
		case <-s.nudge:
		case <-timer.C:
		}
		s.refresh()
		timer.Stop()
		if now := s.standing.Load(); now != nil && !now.view.Due().IsZero() {
			timer.Reset(min(time.Until(now.view.Due()), lookAgain))
		}
	}
}

// follow wakes the director for each snapshot.
func follow(ctx context.Context, sub *healthcheck.Subscription, health chan<- struct{}) {
	defer sub.Close()
	for {
		if _, _, err := sub.Next(ctx); err != nil {
			return
		}
		select {
		case health <- struct{}{}:
		default: // it is awake already
		}
	}
}

// changed wakes the director.
func (s *Server) changed() {
	select {
	case s.nudge <- struct{}{}:
	default:
	}
}
