package hostcache

import (
	"context"
	"errors"
	"sync"
)

// ErrServing says that the host cache serves logins, so it is not changed.
var ErrServing = errors.New("the host cache serves logins")

// turn lets one thing at a time be done to the files, and nothing while the cache serves. Serving does
// not wait for an import: it ends it.
type turn struct {
	busy chan struct{} // holds one token while something is done

	mu      sync.Mutex
	serving int
	end     context.CancelFunc // of what is done
}

func newTurn() *turn { return &turn{busy: make(chan struct{}, 1)} }

// take waits for its turn. The context that it returns ends when the cache begins to serve.
func (t *turn) take(ctx context.Context) (context.Context, func(), error) {
	select {
	case t.busy <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.serving > 0 {
		<-t.busy
		return nil, nil, ErrServing
	}
	ctx, cancel := context.WithCancel(ctx)
	t.end = cancel
	return ctx, func() {
		cancel()
		<-t.busy
	}, nil
}

// serve ends what is done, waits for that, and keeps everything else out until release. done is called
// once what opens the files is over.
func (t *turn) serve(ctx context.Context) (done func(), err error) {
	t.mu.Lock()
	t.serving++
	if t.end != nil {
		t.end()
	}
	t.mu.Unlock()
	select {
	case t.busy <- struct{}{}:
		return func() { <-t.busy }, nil
	case <-ctx.Done():
		t.release()
		return nil, ctx.Err()
	}
}

// release ends what one serve began.
func (t *turn) release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.serving > 0 {
		t.serving--
	}
}

func (t *turn) isServing() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.serving > 0
}
