package outagebench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"switchpoint/broker/outage/hostcache"
	"switchpoint/broker/postgres"
)

// task is what that process is told.
type task struct {
	Database string `json:"database"` // URL
	Dir      string `json:"dir"`
}

// Perform is that process: the hidden side of the command.
func Perform(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	var t task
	if err := json.NewDecoder(stdin).Decode(&t); err != nil {
		return fmt.Errorf("read the task: %w", err)
	}
	s, err := postgres.Open(ctx, postgres.Options{URL: t.Database})
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }() // what was measured is known by then
	cache, err := hostcache.New(hostcache.Options{Source: s, Dir: t.Dir})
	if err != nil {
		return err
	}
	c, err := measure(ctx, s, cache)
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(c)
}

func measure(ctx context.Context, s *postgres.Store, cache *hostcache.Cache) (*Copy, error) {
	before, err := resident("VmRSS:")
	if err != nil {
		return nil, err
	}
	first, err := cache.Sync(ctx)
	if err != nil {
		return nil, err
	}
	peak, err := resident("VmHWM:")
	if err != nil {
		return nil, err
	}
	again, err := cache.Sync(ctx)
	if err != nil {
		return nil, err
	}
	if first.Result != hostcache.Updated || again.Result != hostcache.Current {
		return nil, fmt.Errorf("copied twice: %s, then %s", first.Result, again.Result)
	}
	asked := time.Now()
	if _, err := s.CacheVersion(ctx); err != nil {
		return nil, err
	}
	question := time.Since(asked)
	info, err := os.Stat(cache.Status().File)
	if err != nil {
		return nil, err
	}
	return &Copy{Took: first.Took, Again: again.Took, Question: question, Rise: peak - before, File: info.Size(), Rows: first.Rows}, nil
}

// resident is one of the figures of this process's memory, in bytes (proc(5): status).
func resident(name string) (int64, error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			var kb int64
			_, err := fmt.Sscan(rest, &kb)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("no %s in /proc/self/status", name)
}
