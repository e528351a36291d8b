package gtm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"switchpoint/gtm/steer"
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
	v, err := readMemory(filepath.Join(k.dir, memoryFile))
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
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			k.write(view())
			return nil
		case <-k.news:
		case <-timer.C:
		}
		gap := memoryGap
		if !k.write(view()) {
			k.changed()
			gap = memoryRetry
		}
		timer.Reset(gap)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Reset(time.Hour)
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
		err = replaceFile(k.dir, memoryFile, b)
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

// readMemory reads a file that write has made.
func readMemory(path string) (*steer.View, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if info.Size() > maxMemoryFile {
		return nil, setAside(path, fmt.Errorf("it has %d bytes, more than %d", info.Size(), maxMemoryFile))
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	v, err := parseMemory(b)
	if err != nil {
		return nil, setAside(path, err)
	}
	return v, nil
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

// setAside renames a file that is not usable, so that nothing is lost and the next start is clean.
func setAside(path string, why error) error {
	aside := path + ".broken-" + time.Now().UTC().Format("20060102T150405.000")
	if err := os.Rename(path, aside); err != nil {
		return fmt.Errorf("%s is not usable (%w) and cannot be set aside: %w", path, why, err)
	}
	return fmt.Errorf("%s is not usable and was set aside as %s: %w", path, aside, why)
}

// replaceFile replaces the file name in dir: after a crash it holds the old or the new, whole.
func replaceFile(dir, name string, b []byte) error {
	f, err := os.CreateTemp(dir, name+".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", name, err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil { // the rename survives a crash of the machine
		return fmt.Errorf("write %s: sync its directory: %w", name, err)
	}
	return nil
}
