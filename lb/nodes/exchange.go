package nodes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"switchpoint/lb/stick"
	"switchpoint/peer"
)

const (
	// batch is the time between two messages with changes.
	batch = 250 * time.Millisecond
	// beat is the time after which a message is sent without any, and between two tries to reach a
	// node that cannot be reached.
	beat = time.Second
	// touch is how long a node counts as in touch after it was heard of.
	touch = 3 * beat
	// callTime bounds a call: a hung one must not keep a node from being told for long.
	callTime = 3 * time.Second
	// maxBatch is how many changes are read at once.
	maxBatch = 40_000
)

var errRestarted = errors.New("it was started anew meanwhile")

// tell keeps one node informed until ctx ends.
func (n *Nodes) tell(ctx context.Context, m *member) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var told time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-m.wake:
			told = time.Time{}
		}
		pause := batch
		if m.all || n.o.Journal.Next() != m.cursor || time.Since(told) >= beat {
			err := n.round(ctx, m)
			if ctx.Err() != nil {
				return
			}
			told = time.Now()
			n.reached(m, err)
			if err != nil {
				pause = beat/2 + rand.N(beat) // #nosec G404 -- spreads work
			}
		}
		timer.Reset(pause)
	}
}

// round tells a node what it does not know, and has words exchanged that differ.
func (n *Nodes) round(ctx context.Context, m *member) error {
	h := header{start: n.start, words: digest(n.o.Words())}
	var last answer
	var err error
	if m.all {
		last, err = n.tellAll(ctx, m, h)
	} else {
		last, err = n.tellChanges(ctx, m, h)
	}
	if err == nil && last.Words != h.words {
		_, err = n.exchangeWords(ctx, m)
	}
	return err
}

// tellChanges tells what has changed since the last round.
func (n *Nodes) tellChanges(ctx context.Context, m *member, h header) (answer, error) {
	for {
		changes, next, ok := n.o.Journal.Since(m.cursor, nil, maxBatch)
		if !ok {
			return n.tellAll(ctx, m, h)
		}
		w := newWriter(n.o.NameOf)
		now := n.o.Clock()
		for _, e := range changes {
			if w.add(e, now) {
				if a, err := n.send(ctx, m, w, h); err != nil {
					return a, err
				}
			}
		}
		a, err := n.send(ctx, m, w, h)
		if err != nil {
			return a, err
		}
		m.cursor = next
		if m.start != a.Start || a.Again {
			return n.tellAll(ctx, m, h)
		}
		if len(changes) < maxBatch {
			return a, nil
		}
	}
}

// tellAll tells everything. What changes meanwhile is told after it.
func (n *Nodes) tellAll(ctx context.Context, m *member, h header) (answer, error) {
	m.all = true // until it was done
	cursor := n.o.Journal.Next()
	h.all = true
	var a answer
	start := uint64(0)
	w := newWriter(n.o.NameOf)
	send := func() (err error) {
		if a, err = n.send(ctx, m, w, h); err != nil {
			return err
		}
		h.all = false
		if start == 0 {
			start = a.Start
		}
		if a.Start != start {
			return errRestarted
		}
		return nil
	}
	var part []stick.Entry
	for i := range stick.Shards {
		now := n.o.Clock()
		part = n.o.Table.Append(part[:0], i, now)
		for _, e := range part {
			if w.add(e, now) {
				if err := send(); err != nil {
					return a, err
				}
			}
		}
	}
	if err := send(); err != nil {
		return a, err
	}
	m.all, m.cursor, m.start = a.Again, cursor, start
	n.metrics.all.WithLabelValues(m.name).Inc()
	return a, nil
}

// send sends what a writer holds and reads the answer.
func (n *Nodes) send(ctx context.Context, m *member, w *writer, h header) (answer, error) {
	body, entries := w.take(h)
	out, err := n.call(ctx, m, methodEntries, body)
	if err != nil {
		return answer{}, err
	}
	var a answer
	if err := json.Unmarshal(out, &a); err != nil || a.Start == 0 {
		return answer{}, fmt.Errorf("the answer of %s cannot be read", m.name)
	}
	n.mu.Lock()
	m.sent += uint64(entries) // #nosec G115 -- a count
	n.mu.Unlock()
	return a, nil
}

func (n *Nodes) call(ctx context.Context, m *member, method string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	out, err := n.o.Call(ctx, m.name, method, body)
	if err == nil {
		n.mu.Lock()
		m.heard = time.Now()
		n.mu.Unlock()
	}
	return out, err
}

// reached notes whether a node could be told, and logs when that changes.
func (n *Nodes) reached(m *member, err error) {
	n.mu.Lock()
	was, met := m.trouble, m.met
	m.trouble = ""
	if err != nil {
		m.trouble = err.Error()
	} else {
		m.equal, m.met = time.Now(), true
	}
	n.mu.Unlock()
	if err != nil {
		n.metrics.failures.WithLabelValues(m.name).Inc()
	}
	switch {
	case err != nil && was == "":
		n.log.Warn("lb: another node cannot be told of persistence and operators' words; it will be as soon as it can", "node", m.name, "err", err)
	case err == nil && (was != "" || !met):
		n.log.Info("lb: in touch with another node", "node", m.name)
	}
}

// from finds the member that calls, and notes that it did. n.mu is held.
func (n *Nodes) from(trust peer.Trust) (*member, error) {
	if m := n.member(trust.Name); m != nil {
		m.heard = time.Now()
		return m, nil
	}
	return nil, &peer.RemoteError{Code: "not-a-member", Text: fmt.Sprintf(
		"%s does not have %q among its [lb.nodes] peers", n.o.Name, trust.Name)}
}

// takeEntries is what another node calls to tell.
func (n *Nodes) takeEntries(_ context.Context, trust peer.Trust, body []byte) ([]byte, error) {
	msg, err := decode(body)
	if err != nil {
		return nil, &peer.RemoteError{Code: peer.CodeBadRequest, Text: err.Error()}
	}
	n.mu.Lock()
	m, err := n.from(trust)
	if err != nil {
		n.mu.Unlock()
		return nil, err
	}
	if msg.all {
		m.again = false
	}
	if msg.start != m.theirs { // a new process: it knows nothing
		m.theirs = msg.start
		select {
		case m.wake <- struct{}{}:
		default: // it is awake already
		}
	}
	a := answer{Start: n.start, Again: m.again}
	m.received += uint64(len(msg.entries))
	n.mu.Unlock()
	n.merge(msg)
	a.Words = digest(n.o.Words())
	return json.Marshal(a)
}

// merge takes the entries of a message over. Those of members that this node does not have are
// left out.
func (n *Nodes) merge(msg *message) {
	ids := make([]uint32, len(msg.members)) // 0: unknown here
	for i, m := range msg.members {
		ids[i], _ = n.o.IDOf(m)
	}
	now := n.o.Clock()
	for _, e := range msg.entries {
		if id := ids[e.member]; id != 0 {
			left := time.Duration(e.left) * stick.Tick // #nosec G115 -- at most maxLeft
			n.o.Table.Merge(e.key, id, now, left, func(_, than uint32) bool {
				other, known := n.o.NameOf(than)
				return !known || msg.members[e.member].Address < other.Address
			})
		}
	}
}
