package outage

import (
	"fmt"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/outage/mode"
)

// TestLateWritesOfADrainingBroker: calls that were under way when the broker stepped aside fail after that.
// They do not keep it aside: it is back with the first answer to a beat.
func TestLateWritesOfADrainingBroker(t *testing.T) {
	for _, m := range []mode.Mode{mode.Normal, mode.Draining, mode.HostCache} {
		s := &Store{profile: mode.Fast()}
		s.state.Store(&mode.State{Mode: m})
		for range 3 {
			s.wrote(fmt.Errorf("late: %w", broker.ErrUnavailable))
		}
		s.facts.unwrittenSince = s.facts.unwrittenSince.Add(-s.profile.Lost)
		now := time.Now()
		s.learn(now, now, nil)
		if counts := s.facts.good.IsZero(); counts != (m == mode.Normal) {
			t.Errorf("in mode %s failed writes count: %v", m, counts)
		}
	}
}
