package outage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/outage/mode"
)

// look reads for an operator, who waits for the database for as long as his question takes, unless it is
// known not to answer.
func look[T any](ctx context.Context, s *Store, there func(context.Context) (T, error), here func(context.Context, *local) (T, error)) (v T, err error) {
	state := s.State()
	if state.Mode == mode.Draining {
		return v, fmt.Errorf("%w: %s", broker.ErrUnavailable, state.WhyNot())
	}
	if state.Mode.Local() {
		if v, done, err := serve(ctx, s, here, true); done {
			return v, err
		}
	}
	if err = errBreaker; !s.breaker.open() {
		v, err = there(ctx)
	}
	if !errors.Is(err, broker.ErrUnavailable) || ctx.Err() != nil || s.forcedOff(time.Now()) {
		return v, err
	}
	s.wakeUp()
	if own, done, oerr := serve(ctx, s, here, false); done {
		return own, oerr
	}
	return v, err
}

// Desktops implements broker.Store.
func (s *Store) Desktops(ctx context.Context, f broker.DesktopFilter) ([]broker.DesktopStatus, error) {
	return look(ctx, s, func(ctx context.Context) ([]broker.DesktopStatus, error) { return s.Primary.Desktops(ctx, f) },
		func(ctx context.Context, l *local) ([]broker.DesktopStatus, error) { return l.cache.Desktops(ctx, f) })
}

// ImportedAssignments implements broker.Store.
func (s *Store) ImportedAssignments(ctx context.Context) ([]broker.Assignment, error) {
	return look(ctx, s, s.Primary.ImportedAssignments,
		func(ctx context.Context, l *local) ([]broker.Assignment, error) {
			return l.cache.ImportedAssignments(ctx)
		})
}

// Centers implements broker.Store.
func (s *Store) Centers(ctx context.Context) ([]broker.CenterStatus, error) {
	return look(ctx, s, s.Primary.Centers, func(ctx context.Context, l *local) ([]broker.CenterStatus, error) { return l.cache.Centers(ctx) })
}

// Agents implements broker.Store.
func (s *Store) Agents(ctx context.Context, desktop string) ([]broker.AgentStatus, error) {
	return look(ctx, s, func(ctx context.Context) ([]broker.AgentStatus, error) { return s.Primary.Agents(ctx, desktop) },
		func(ctx context.Context, l *local) ([]broker.AgentStatus, error) { return l.cache.Agents(ctx, desktop) })
}

// PoolStatistics implements broker.Store: in an outage the pools are counted when they are asked for.
func (s *Store) PoolStatistics(ctx context.Context, pool string, since time.Duration) ([]broker.PoolStatistics, error) {
	return look(ctx, s, func(ctx context.Context) ([]broker.PoolStatistics, error) {
		return s.Primary.PoolStatistics(ctx, pool, since)
	},
		func(ctx context.Context, l *local) ([]broker.PoolStatistics, error) {
			if _, err := l.cache.RecordPoolStatistics(ctx, since); err != nil {
				return nil, err
			}
			return l.cache.PoolStatistics(ctx, pool, since)
		})
}

// BusiestHour implements broker.Store: in an outage it is the one that was last known.
func (s *Store) BusiestHour(ctx context.Context, since time.Duration) (broker.LoginHour, error) {
	return look(ctx, s, func(ctx context.Context) (broker.LoginHour, error) {
		h, err := s.Primary.BusiestHour(ctx, since)
		if err == nil {
			s.busiest.Store(&h)
		}
		return h, err
	}, func(context.Context, *local) (broker.LoginHour, error) {
		if h := s.busiest.Load(); h != nil {
			return *h, nil
		}
		return broker.LoginHour{}, nil
	})
}

// LogByRef implements broker.Store. The files have no row from before the outage.
func (s *Store) LogByRef(ctx context.Context, ref string) (broker.LogRow, error) {
	return look(ctx, s, func(ctx context.Context) (broker.LogRow, error) { return s.Primary.LogByRef(ctx, ref) },
		func(ctx context.Context, l *local) (broker.LogRow, error) {
			row, err := l.cache.LogByRef(ctx, ref)
			if errors.Is(err, broker.ErrNotFound) {
				err = fmt.Errorf("%w here: what happened before the outage is in the database", err)
			}
			return row, err
		})
}
