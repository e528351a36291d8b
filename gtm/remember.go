package gtm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"switchpoint/gtm/steer"
	"switchpoint/internal/keptfile"
)

// memoryFile is what the director must not forget over a restart, in the state directory.
const memoryFile = "gtm-director.json"

// maxMemoryFile bounds what is read back: the size of some 200,000 pools.
const maxMemoryFile = 64 << 20

// Times of the keeper.
const (
	memoryGap   = time.Second      // the least between two writes
	memoryRetry = 10 * time.Second // after a write that failed
)

// keeper keeps the director's memory on disk, off the path of queries and of the director. Without a
// directory it does nothing.
type keeper struct {
	dir     string
	log     *slog.Logger
	news    chan struct{}
	written []byte
	failed  bool
}

func newKeeper(dir string, log *slog.Logger) *keeper {
	return &keeper{dir: dir, log: log, news: make(chan struct{}, 1)}
}

// restore gives the view that the last process left its memory of; nil: there is none. A file that
// cannot be used is set aside and reported: the director then starts without a past.
func (k *keeper) restore() *steer.View {
	if k.dir == "" {
		return nil
	}
	var v *steer.View
	err := keptfile.Read(k.dir, memoryFile, maxMemoryFile, func(b []byte) (err error) {
		v, err = parseMemory(b)
		return err
	})
	if err != nil {
		k.log.Error("the director starts without its memory: holds, failback delays and last-good members are forgotten", "error", err)
	}
	return v
}

// changed tells the keeper that there may be something new.
func (k *keeper) changed() {
	select {
	case k.news <- struct{}{}:
	default:
	}
}

// run writes what is new until ctx ends, and once more then.
func (k *keeper) run(ctx context.Context, view func() *steer.View) error {
	if k.dir == "" {
		<-ctx.Done()
		return nil
	}
	for {
		select {
		case <-ctx.Done():
			k.write(view())
			return nil
		case <-k.news:
		}
		gap := memoryGap
		if !k.write(view()) {
			k.changed()
			gap = memoryRetry
		}
		select {
		case <-ctx.Done():
		case <-time.After(gap):
		}
	}
}

// write puts the memory of a view on disk where it is another than what is there. A failure is logged
// once, until it works again.
func (k *keeper) write(v *steer.View) bool {
	if v == nil {
		return true
	}
	b, err := json.Marshal(v.Memory())
	if err == nil {
		b = append(b, '\n')
		if bytes.Equal(b, k.written) {
			return true
		}
		err = keptfile.Write(k.dir, memoryFile, b)
	}
	switch {
	case err != nil && !k.failed:
		k.log.Error("the director's memory is not kept; after a restart holds and failback delays would be those of before", "error", err)
	case err == nil && k.failed:
		k.log.Info("the director's memory is kept again")
	}
	if k.failed = err != nil; !k.failed {
		k.written = b
	}
	return !k.failed
}

func parseMemory(b []byte) (*steer.View, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	var m steer.Memory
	if err := dec.Decode(&m); err != nil {
		return nil, fmt.Errorf("decode the director's memory: %w", err)
	}
	return steer.Restore(m)
}
