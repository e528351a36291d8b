package broker

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	beatBatchEvery = time.Second // one statement for all heartbeats of that time
	maxBeats       = 8192        // heartbeats that wait for it; more are told to come again
	maxBatch       = 2000        // of one statement; only the first second after an outage has more
	beatWait       = 5 * time.Second
)

// beatKey tells reports apart: a wrong key must not push the right one out.
type beatKey struct {
	desktop string
	hash    [32]byte
}

// pendingBeat is the newest report of a key in the batch that is filling, with all who wait for it.
type pendingBeat struct {
	AgentBeat
	answer chan struct{} // closed when orders and err are set
	orders AgentOrders
	err    error
}

// beats collects heartbeats for a group commit: an agent is answered when what it said is durable, so
// that a broker which dies loses nothing that was acknowledged.
type beats struct {
	mu      sync.Mutex
	pending map[beatKey]*pendingBeat
	closed  bool
}

// add puts a report into the batch. false: it is full, or the broker stops.
func (q *beats) add(b AgentBeat) (*pendingBeat, string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	key := beatKey{b.Desktop, b.KeyHash}
	if p := q.pending[key]; p != nil {
		p.AgentBeat = b
		return p, ""
	}
	switch {
	case q.closed:
		return nil, CodeStopped
	case len(q.pending) >= maxBeats:
		return nil, CodeBusy
	}
	p := &pendingBeat{AgentBeat: b, answer: make(chan struct{})}
	if q.pending == nil {
		q.pending = make(map[beatKey]*pendingBeat)
	}
	q.pending[key] = p
	return p, ""
}

// take ends the batch.
func (q *beats) take(closing bool) []*pendingBeat {
	q.mu.Lock()
	defer q.mu.Unlock()
	batch := make([]*pendingBeat, 0, len(q.pending))
	for _, p := range q.pending {
		batch = append(batch, p)
	}
	q.pending = nil
	q.closed = q.closed || closing
	return batch
}

// AgentHeartbeat records what the agent with the key reports and returns what the broker wants of it.
// It takes up to a second: all heartbeats of that time are written together. The error is a *Refusal.
func (b *Broker) AgentHeartbeat(ctx context.Context, key AgentKey, r AgentReport) (AgentOrders, error) {
	p, code := b.beats.add(AgentBeat{Desktop: key.Desktop, KeyHash: key.Hash(), AgentReport: r})
	if code != "" {
		b.metrics.heartbeats.WithLabelValues(code).Inc()
		return AgentOrders{}, refusal(code, "")
	}
	wait := time.NewTimer(beatWait)
	defer wait.Stop()
	select {
	case <-p.answer:
	case <-ctx.Done():
		return AgentOrders{}, refusal(CodeStopped, "")
	case <-wait.C:
		b.metrics.heartbeats.WithLabelValues(CodeStoreUnavailable).Inc()
		return AgentOrders{}, refusal(CodeStoreUnavailable, "")
	}
	result := "ok"
	switch {
	case p.err != nil:
		result = refusalCode(p.err)
	case !p.orders.Known:
		result = CodeAgentUnknown
	}
	b.metrics.heartbeats.WithLabelValues(result).Inc()
	if result != "ok" {
		return AgentOrders{}, refusal(result, "")
	}
	return p.orders, nil
}

// takeHeartbeats writes the batches until ctx ends, and then the last one.
func (b *Broker) takeHeartbeats(ctx context.Context) {
	tick := time.NewTicker(beatBatchEvery)
	defer tick.Stop()
	failed := false
	for {
		stopping := false
		select {
		case <-ctx.Done():
			stopping = true
		case <-tick.C:
		}
		for batch := range slices.Chunk(b.beats.take(stopping), maxBatch) {
			err := b.writeHeartbeats(context.WithoutCancel(ctx), batch)
			if err != nil && !failed { // the first of a row of failures
				b.log.Warn("heartbeats of agents could not be written", "error", err)
			}
			failed = err != nil
		}
		if stopping {
			return
		}
	}
}

// writeHeartbeats is one call of the store.
func (b *Broker) writeHeartbeats(ctx context.Context, batch []*pendingBeat) error {
	list := make([]AgentBeat, len(batch))
	for i, p := range batch {
		list[i] = p.AgentBeat
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	orders, err := b.o.Store.AgentBeats(ctx, list)
	if err == nil {
		b.metrics.batches.Inc()
	}
	for i, p := range batch {
		if p.err = err; err == nil {
			p.orders = orders[i]
		}
		close(p.answer)
	}
	return err
}
