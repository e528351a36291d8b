package nodes

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"switchpoint/peer"
)

const (
	// coalesce is the least time between two looks at the own health that can cause a report.
	coalesce = 100 * time.Millisecond
	// fullEvery is the time between two reports of everything.
	fullEvery = 30 * time.Second
)

// callTime bounds a call in the background: a hung one must not keep a node from being told for
// long.
func callTime(interval time.Duration) time.Duration {
	return min(max(2*interval, time.Second), 5*time.Second)
}

// watchHealth wakes the reports when the own health has changed. It returns when ctx ends.
func (n *Nodes) watchHealth(ctx context.Context) {
	if n.o.Subscribe == nil {
		return
	}
	sub := n.o.Subscribe()
	defer sub.Close()
	var told uint64
	for {
		if _, _, err := sub.Next(ctx); err != nil {
			return
		}
		n.mu.Lock()
		n.mine.update(n.watch, n.sight, n.o.Snapshot())
		urgent := n.mine.urgent
		n.mu.Unlock()
		if urgent > told {
			told = urgent
			n.wakeAll()
		}
		wait(ctx, coalesce)
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// wakeAll has a report sent to every node at once.
func (n *Nodes) wakeAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, m := range n.members {
		select {
		case m.wake <- struct{}{}:
		default: // it is awake already
		}
	}
}

// tell reports to one node until ctx ends.
func (n *Nodes) tell(ctx context.Context, m *member, interval time.Duration) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var acked uint64 // what it has seen of this node
	var full time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-m.wake:
		}
		if time.Since(full) >= fullEvery {
			acked = 0
		}
		if acked == 0 {
			full = time.Now()
		}
		answer, err := n.report(ctx, m, acked)
		if err == nil && answer.Full {
			full = time.Now()
			answer, err = n.report(ctx, m, 0)
		}
		if ctx.Err() != nil {
			return
		}
		if err == nil { // otherwise it may still know what it did
			acked = answer.Seen
			err = n.synchronise(ctx, m, answer.Document, interval)
		}
		n.reached(m, err)
		timer.Reset(jitter(interval))
	}
}

// report sends one report, of everything if base is 0. What it answers is for its last part.
func (n *Nodes) report(ctx context.Context, m *member, base uint64) (answer reportAnswer, err error) {
	n.mu.Lock()
	interval := n.config.Interval
	n.mine.update(n.watch, n.sight, n.o.Snapshot())
	if base < n.mine.floor || base > n.mine.seq {
		base = 0
	}
	r := report{
		Node: n.o.Name, Start: n.start, Seq: n.mine.seq, Base: base, Interval: interval.Milliseconds(),
		Blind: n.sight.blind(), Document: n.Operator().Stamp(),
	}
	checks := n.mine.after(base, n.watch, time.Now())
	n.mu.Unlock()
	parts, err := r.encode(checks)
	if err != nil {
		return answer, err
	}
	for _, part := range parts {
		answer = reportAnswer{}
		partCtx, cancel := context.WithTimeout(ctx, callTime(interval))
		err := n.ask(partCtx, m.name, methodReport, part, &answer)
		cancel()
		if err != nil || answer.Full {
			return answer, err
		}
	}
	return answer, nil
}

// ask calls a node and reads its answer.
func (n *Nodes) ask(ctx context.Context, name, method string, body []byte, answer any) error {
	out, err := n.o.Call(ctx, name, method, body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out, answer); err != nil {
		return fmt.Errorf("the answer of %s to %s cannot be read: %w", name, method, err)
	}
	return nil
}

// reached notes whether a node could be told, and logs when that changes.
func (n *Nodes) reached(m *member, err error) {
	n.mu.Lock()
	was := m.trouble
	m.trouble = ""
	if err != nil {
		m.trouble = err.Error()
	}
	n.mu.Unlock()
	if err != nil {
		n.metrics.failures.WithLabelValues(m.name).Inc()
	}
	switch {
	case err != nil && was == "":
		n.log.Warn("exchange with a gtm node fails", "node", m.name, "err", err)
	case err == nil && was != "":
		n.log.Info("exchange with a gtm node works again", "node", m.name)
	}
}

// from finds the member that calls.
func (n *Nodes) from(trust peer.Trust) (*member, error) {
	if m := n.member(trust.Name); m != nil {
		return m, nil
	}
	return nil, &peer.RemoteError{Code: "not-a-member", Text: fmt.Sprintf(
		"%s does not have %q among its [gtm.nodes] members", n.o.Name, trust.Name)}
}

// takeReport is what another node calls to report.
func (n *Nodes) takeReport(_ context.Context, trust peer.Trust, body []byte) ([]byte, error) {
	r, err := decodeReport(body)
	if err != nil {
		return nil, &peer.RemoteError{Code: peer.CodeBadRequest, Text: err.Error()}
	}
	n.mu.Lock()
	m, err := n.from(trust)
	if err == nil && r.Node != m.name {
		err = &peer.RemoteError{Code: "wrong-name", Text: fmt.Sprintf(
			"a node that calls itself %q is trusted by %s as %q; give both the same name: the names decide between operators' documents",
			r.Node, n.o.Name, m.name)}
	}
	if err != nil {
		n.mu.Unlock()
		return nil, err
	}
	answer, changed := m.take(r, n.watch, time.Now())
	met := !m.inTouch
	m.inTouch = true
	n.mu.Unlock()
	if met {
		n.log.Info("in touch with a gtm node", "node", m.name)
	}
	if met || changed {
		n.changed()
	}
	answer.Document = n.Operator().Stamp()
	return json.Marshal(answer)
}

// watchTouch says so when a node has not been heard of for too long, until ctx ends.
func (n *Nodes) watchTouch(ctx context.Context, interval time.Duration) {
	for ctx.Err() == nil {
		next := interval
		var lost []string
		n.mu.Lock()
		now := time.Now()
		for _, m := range n.members {
			if m.inTouch && !m.live(now, interval) {
				m.inTouch = false
				lost = append(lost, m.name)
			} else if m.inTouch {
				next = min(next, m.expires(interval).Sub(now))
			}
		}
		n.mu.Unlock()
		for _, name := range lost {
			n.log.Warn("a gtm node has not reported for too long: its view no longer counts", "node", name)
		}
		if len(lost) > 0 {
			n.changed()
		}
		wait(ctx, max(next, time.Millisecond))
	}
}
