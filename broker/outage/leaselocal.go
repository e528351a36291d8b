package outage

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"switchpoint/broker"
)

// served is what a local is served from.
type served struct {
	leases   *leaseBook // what leases add to it; nil: nothing
	told     time.Time  // a session that was made before then, and is not in the file, has ended
	file     string     // of the host cache
	said     int64      // the place in the journal up to which it has what operators have said
	end      func() error
	doubted  atomic.Bool // it is to be looked at: see doubt
	lookedAt atomic.Pointer[time.Time]
}

var errNoAgents = fmt.Errorf("%w: agents are not known by leases", broker.ErrUnavailable)

// agentBeats does not call an agent unknown, because leases say nothing about agents: it would enrol again.
func (l *local) agentBeats(ctx context.Context, beats []broker.AgentBeat) ([]broker.AgentOrders, error) {
	if l.leases.alone() {
		return nil, errNoAgents
	}
	return l.cache.AgentBeats(ctx, beats)
}

// assigned says whether the user has a desktop of his own, as far as is known here.
func (l *local) assigned(ctx context.Context, directory, user string) (bool, error) {
	if err := l.leases.bring(ctx, broker.Who{Directory: directory, User: user}); err != nil {
		return false, err
	}
	return l.cache.Assigned(ctx, directory, user)
}
