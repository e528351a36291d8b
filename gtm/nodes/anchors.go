package nodes

import (
	"context"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// look looks at the anchors every interval until ctx ends.
func (n *Nodes) look(ctx context.Context, anchors []string, interval time.Duration) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		answered := anyAnswers(ctx, anchors, interval*9/10)
		if ctx.Err() != nil {
			return
		}
		n.looked(answered)
		timer.Reset(jitter(interval))
	}
}

// anyAnswers says whether a TCP connection to one of the anchors can be made in time. The first
// one that answers ends the round.
func anyAnswers(ctx context.Context, anchors []string, timeout time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var answered atomic.Bool
	var g errgroup.Group
	for _, a := range anchors {
		g.Go(func() error {
			var d net.Dialer
			conn, err := d.DialContext(ctx, "tcp", a)
			if err != nil {
				return nil // that it does not answer is the result
			}
			answered.Store(true)
			cancel()
			return conn.Close()
		})
	}
	_ = g.Wait() // how a connection that was made is closed tells nothing
	return answered.Load()
}

// looked takes the result of a round.
func (n *Nodes) looked(answered bool) {
	n.mu.Lock()
	was := n.sight
	n.sight = was.after(answered, time.Now())
	now := n.sight
	if answered {
		n.confirm()
	}
	n.mu.Unlock()
	switch {
	case now.blind() && !was.blind():
		n.log.Warn("this node reaches none of its anchors: it abstains", "anchors_missed", now.missed)
	case was.blind() && !now.blind():
		n.log.Info("this node reaches its anchors again", "blind_for", now.back.Sub(now.lost).Round(time.Millisecond))
	}
	if now.blind() != was.blind() || (now.missed > 0) != (was.missed > 0) {
		n.changed()
		n.wakeAll()
	}
}

// jitter is a time around d, so that nodes that started together do not stay together.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/10+1)
}
