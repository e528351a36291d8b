package lb

import (
	"context"
	"time"
)

// Bounds of how often the watcher looks.
const (
	minWatch = 5 * time.Millisecond
	maxWatch = 250 * time.Millisecond
)

// keepLimits is the watcher: the one goroutine that ends what takes too long, and that notices
// clients which went away while a member was waited for. It costs requests two atomic writes;
// how late it may be is part of every time limit (an eighth of the shortest one, at most 250 ms).
func (p *Proxy) keepLimits(ctx context.Context) {
	var look watchList
	for {
		wait := time.NewTimer(p.watchEvery())
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
		now := p.now()
		look.reset()
		for _, l := range p.listeners {
			l.conns.each(func(c *clientConn) {
				switch due := c.due.Load(); {
				case due > 0 && due <= now:
					c.speak(due, overdue)
				case due > 0 && (c.in(phaseAsking) || c.in(phaseQueued)):
					look.add(c, due)
				}
			})
		}
		look.judge()
	}
}

// watchEvery is an eighth of the shortest limit.
func (p *Proxy) watchEvery() time.Duration {
	every := min(p.limits.read, p.limits.idle, p.limits.tunnel)
	if live := p.live.Load(); live != nil {
		for _, lp := range live.pools {
			every = min(every, lp.responseTimeout, lp.queueTimeout)
		}
	}
	return min(max(every/8, minWatch), maxWatch)
}
