package healthcheck

import (
	"context"
	"time"
)

// until is a context that knows the deadline of a probe without a timer of its own: everything
// that the raw exchanges wait for is a connection, and connections have deadlines. It costs one
// small allocation where context.WithDeadline costs a timer and several. It does not end at its
// deadline: whoever waits for anything but a connection must use a real one.
type until struct {
	context.Context
	end time.Time
}

// Deadline is that of the probe.
func (u *until) Deadline() (time.Time, bool) { return u.end, true }

// within bounds ctx by the time-out of a probe of m that starts now.
func within(ctx context.Context, m Monitor, start time.Time) (context.Context, context.CancelFunc) {
	end := start.Add(m.Timeout)
	if m.Kind == "http" || m.Kind == "https" || m.Kind == "tcp" {
		if sooner, ok := ctx.Deadline(); ok && sooner.Before(end) {
			end = sooner
		}
		return &until{ctx, end}, func() {}
	}
	return context.WithDeadline(ctx, end)
}
