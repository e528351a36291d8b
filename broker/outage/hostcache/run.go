package hostcache

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// Run synchronises until ctx ends. The brokers of a cluster begin at different moments, so that they do
// not all copy at once; one without a usable file begins at once.
func (c *Cache) Run(ctx context.Context) error {
	wait := time.Duration(0)
	if _, _, _, known := c.now.get(); known || c.Look(ctx) {
		wait = rand.N(c.o.Every)
	}
	rehearse := time.Now().Add(rand.N(c.o.RehearseEvery))
	for {
		if !sleep(ctx, wait) {
			return nil
		}
		wait = pause(c.o.Every, rand.Float64())
		out, err := c.Sync(ctx)
		if err != nil || out.Result == Empty || time.Now().Before(rehearse) {
			continue
		}
		rehearse = time.Now().Add(c.o.RehearseEvery)
		if _, err := c.Rehearse(ctx, c.o.Sample); err != nil && ctx.Err() == nil && !errors.Is(err, ErrServing) {
			c.log.Error("the host cache could not be rehearsed", "error", err)
		}
	}
}

// Look finds the file that an earlier process has left, so that Status knows it. Run does so too.
func (c *Cache) Look(ctx context.Context) (found bool) {
	_, done, err := c.turn.take(ctx)
	if err != nil {
		return false
	}
	defer done()
	f, info, err := c.newest(ctx)
	if err != nil {
		return false // Status says that there is none, and the first synchronisation says why
	}
	c.now.set(f, info)
	c.status.found(f, info)
	return true
}

// pause is up to a fifth shorter than every, so that brokers that met do not stay together.
func pause(every time.Duration, random float64) time.Duration {
	return every - time.Duration(float64(every)/5*random)
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
