package nodes

import (
	"context"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"switchpoint/peer"
)

const (
	// ackTime is how long Tell waits for the other nodes if its caller does not say.
	ackTime = 2 * time.Second
	// lostTime is how long it waits for a node that is out of touch: an operator in a partition
	// should not wait for what is known to be away.
	lostTime = time.Second
)

// digest is the same for the same words.
func digest(words []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(words) // never fails
	return h.Sum64()
}

// Ack says whether another node knows all that operators have said here.
type Ack struct {
	Node  string    `json:"node"`
	Has   bool      `json:"has"`
	Heard time.Time `json:"heard"`         // when it was last heard of; zero: never
	Why   string    `json:"why,omitempty"` // it has not
}

// Tell hands the words to all other nodes at once and says who has them. It answers once all have
// answered or ctx ends, at the latest after 2 s. The others are told later.
func (n *Nodes) Tell(ctx context.Context) []Ack {
	ctx, cancel := context.WithTimeout(ctx, ackTime)
	defer cancel()
	n.mu.Lock()
	members := n.members
	n.mu.Unlock()
	acks := make([]Ack, len(members))
	var group sync.WaitGroup
	for i, m := range members {
		group.Go(func() { acks[i] = n.ack(ctx, m) })
	}
	group.Wait()
	return acks
}

func (n *Nodes) ack(ctx context.Context, m *member) Ack {
	n.mu.Lock()
	live := m.live(time.Now())
	n.mu.Unlock()
	if !live {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, lostTime)
		defer cancel()
	}
	same, err := n.exchangeWords(ctx, m)
	n.mu.Lock()
	a := Ack{Node: m.name, Has: err == nil && same, Heard: m.heard}
	n.mu.Unlock()
	switch {
	case a.Has:
	case ctx.Err() != nil:
		a.Why = "no answer in time; it will be told as soon as it can be reached"
	case err != nil:
		a.Why = err.Error()
	default:
		a.Why = "it has other words than this node, and will be told again"
	}
	return a
}

func (m *member) live(now time.Time) bool { return now.Sub(m.heard) < touch }

// exchangeWords hands the words to a node, takes over what it knows better, and says whether both
// know the same then.
func (n *Nodes) exchangeWords(ctx context.Context, m *member) (same bool, err error) {
	mine := n.o.Words()
	if len(mine) > maxMessage {
		return false, fmt.Errorf("operators' words have %d bytes, at most %d are possible", len(mine), maxMessage)
	}
	theirs, err := n.call(ctx, m, methodWords, mine)
	if err != nil {
		return false, err
	}
	if err := n.o.Adopt(m.name, theirs); err != nil {
		return false, fmt.Errorf("from %s: %w", m.name, err)
	}
	return digest(theirs) == digest(n.o.Words()), nil
}

// takeWords is what another node calls to exchange words.
func (n *Nodes) takeWords(_ context.Context, trust peer.Trust, body []byte) ([]byte, error) {
	n.mu.Lock()
	m, err := n.from(trust)
	n.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := n.o.Adopt(m.name, body); err != nil {
		return nil, &peer.RemoteError{Code: peer.CodeBadRequest, Text: err.Error()}
	}
	return n.o.Words(), nil
}
