package outage

import (
	"context"
	"fmt"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/outage/mode"
)

// settleFor is how long after an outage, or a start, desktops of expired sessions are kept: as long as the
// other brokers may need to merge, where they cannot be asked.
const settleFor = 2 * time.Minute

// unsettled says why the database may not know yet that sessions are in use that it takes for expired; "":
// it knows. Nobody's desktop is given to somebody else before what he did in an outage is merged.
func (s *Store) unsettled(ctx context.Context) string {
	state := s.State()
	switch {
	case s.o.Config.Mode == broker.OutageOff:
		return ""
	case state.Mode != mode.Normal:
		return "this broker is in mode " + string(state.Mode)
	case s.node.unmerged() > 0:
		return "this broker has acts to merge"
	case time.Since(state.Since) < settleFor:
		return fmt.Sprintf("this broker has had the database for less than %s", settleFor)
	case s.o.AskPeers == nil:
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, askPeers)
	defer cancel()
	for _, p := range s.o.AskPeers(ctx) {
		if p.Mode.Local() || p.Unmerged > 0 {
			return fmt.Sprintf("broker %s is in mode %s and has %d acts to merge", p.Name, p.Mode, p.Unmerged)
		}
	}
	return ""
}

// ReleaseExpired implements broker.Store.
func (s *Store) ReleaseExpired(ctx context.Context) (released int, more bool, err error) {
	if why := s.unsettled(ctx); why != "" {
		s.log.Info("outage: desktops of expired sessions are kept for now", "reason", why)
		return 0, false, nil
	}
	return s.Primary.ReleaseExpired(ctx)
}

// Purge implements broker.Store. It releases desktops, too.
func (s *Store) Purge(ctx context.Context, r broker.Retention) (broker.Purged, error) {
	if why := s.unsettled(ctx); why != "" {
		s.log.Info("outage: nothing is purged for now", "reason", why)
		return broker.Purged{}, nil
	}
	return s.Primary.Purge(ctx, r)
}
