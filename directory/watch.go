package directory

import (
	"context"
	"sync"
	"time"
)

const (
	// How often Run asks a server for its rootDSE.
	probeEvery     = 5 * time.Second
	probeEveryDown = 2 * time.Second
	// checkEvery is how often Run looks at what is not a watched server.
	checkEvery = time.Second
)

// Run keeps the servers' health known, their idle connections fresh and their list up to date
// until ctx ends, then waits for the operations under way and closes everything. A Client serves
// once only.
func (c *Client) Run(ctx context.Context) error {
	w := watchers{c: c, stop: make(map[*server]context.CancelFunc)}
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for running := true; running; {
		c.refresh(ctx)
		w.follow(ctx, c.fleet.Load().servers)
		for _, s := range c.referrals {
			s.reap(time.Now())
		}
		select {
		case <-ctx.Done():
			running = false
		case <-tick.C:
		}
	}
	w.wg.Wait()
	w.follow(ctx, nil)
	for _, s := range c.referrals {
		w.wg.Go(s.close)
	}
	w.wg.Wait()
	return nil
}

// watchers are the goroutines of Run, one for each server.
type watchers struct {
	c    *Client
	wg   sync.WaitGroup
	stop map[*server]context.CancelFunc
}

// follow watches servers, and lets go of those that are not among them any more.
func (w *watchers) follow(ctx context.Context, servers []*server) {
	wanted := make(map[*server]bool, len(servers))
	for _, s := range servers {
		wanted[s] = true
		if w.stop[s] == nil {
			watch, stop := context.WithCancel(ctx)
			w.stop[s] = stop
			w.wg.Go(func() { w.c.watch(watch, s) })
		}
	}
	for s, stop := range w.stop {
		if wanted[s] {
			continue
		}
		delete(w.stop, s)
		stop()
		w.wg.Go(func() {
			select { // a login that has just begun may still mean this one
			case <-ctx.Done():
			case <-time.After(w.c.config.Timeout):
			}
			s.close()
			w.c.metrics.forget(s)
		})
	}
}

func (c *Client) watch(ctx context.Context, s *server) {
	for {
		began := time.Now()
		if asked, err := s.probe(ctx); asked {
			_ = c.learn(ctx, s, began, err) // what there is to say is in Health and in the log
		}
		s.reap(time.Now())
		c.metrics.server(s)
		wait := probeEvery
		if _, err := s.breaker.state(); err != nil {
			wait = probeEveryDown
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}
