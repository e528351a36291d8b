package outagebench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"switchpoint/bench/quantile"
	"switchpoint/broker"
	"switchpoint/broker/postgres"
)

const (
	syncDatabase = "large"
	fillWithin   = 5 * time.Minute
)

// sync copies a large cluster into host caches, each by a process of its own.
func (r *run) sync(ctx context.Context) error {
	if err := r.fill(ctx); err != nil {
		return fmt.Errorf("fill the database: %w", err)
	}
	for n := range r.o.Rounds {
		r.site.Bar().Step("copies of the large cluster", n+1, r.o.Rounds, thousands(r.o.Signed)+" users")
		c, err := r.copyOnce(ctx, n)
		if err != nil {
			return err
		}
		r.report.Copies = append(r.report.Copies, *c)
	}
	r.report.addCopies(fmt.Sprintf("%s users, %s desktops: ", thousands(r.o.Signed), thousands(r.o.Desktops)))
	return nil
}

// addCopies adds the rows: medians.
func (r *Report) addCopies(name string) {
	value := func(of func(Copy) float64) (float64, []float64) {
		var list []float64
		for _, c := range r.Copies {
			list = append(list, of(c))
		}
		return quantile.Median(list), list
	}
	add := func(what, unit string, limit float64, of func(Copy) float64) {
		v, list := value(of)
		line := row(name+what, unit, v)
		line.Runs = list
		if limit > 0 {
			line = atMost(line, limit)
		}
		r.add(line)
	}
	add("copied into the host cache", "s", maxSync, func(c Copy) float64 { return c.Took.Seconds() })
	add("time on the processor, with the look below", "s", 0, func(c Copy) float64 { return c.CPU.Seconds() })
	add("memory that it takes", "MB", maxSyncRise, func(c Copy) float64 { return megabytes(c.Rise) })
	add("size of the file", "MB", 0, func(c Copy) float64 { return megabytes(c.File) })
	add("a look that finds nothing changed, with who is signed in", "s", 0, func(c Copy) float64 { return c.Again.Seconds() })
	add("the question for changes alone", "ms", 0, func(c Copy) float64 { return 1000 * c.Question.Seconds() })
	if c := r.Copies[0]; c.Rows != nil {
		last := len(r.Rows) - 1
		r.Rows[last] = note(r.Rows[last], "rows copied: %v", c.Rows)
	}
}

func megabytes(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// fill makes the large cluster: half of the desktops belong to the first users, the others stand in a
// pool; all users are signed in, and each desktop of the pool that is not the last is somebody's now.
func (r *run) fill(ctx context.Context) error {
	r.site.Bar().Say(fmt.Sprintf("a cluster of %s users and %s desktops", thousands(r.o.Signed), thousands(r.o.Desktops)))
	ctx, cancel := context.WithTimeout(ctx, fillWithin)
	defer cancel()
	db := r.site.Database()
	if _, err := db.SQL(ctx, "postgres", "CREATE DATABASE "+syncDatabase); err != nil {
		return err
	}
	s, err := postgres.Open(ctx, postgres.Options{URL: db.URL(syncDatabase), QueryTimeout: time.Minute})
	if err != nil {
		return err
	}
	own := r.o.Desktops / 2
	err = setUp(ctx, s, company(own, r.o.Desktops-own))
	if err := errors.Join(err, s.Close()); err != nil {
		return err
	}
	_, err = db.SQL(ctx, syncDatabase, signedIn(r.o.Signed, own))
	return err
}

// setUp makes an empty database that of a cluster.
func setUp(ctx context.Context, s *postgres.Store, setup broker.Setup) error {
	n := broker.Node{Name: "broker-1", SiteID: 1, Version: "bench", Datacenter: "bench", Booted: time.Now()}
	if _, err := s.Join(ctx, n, broker.Cluster{Name: "bench"}, broker.Liveness); err != nil {
		return err
	}
	version, err := s.SetupVersion(ctx)
	if err != nil {
		return err
	}
	_, err = s.ReplaceSetup(ctx, setup, version, broker.LogRow{ID: newID(), Kind: broker.LogSetup, SiteID: 1})
	return err
}

// Copy is what one process needed for a host cache.
type Copy struct {
	Took     time.Duration  `json:"took_ns"`
	Again    time.Duration  `json:"again_ns"`    // the next one, when nothing has changed
	Question time.Duration  `json:"question_ns"` // whether something has
	Rise     int64          `json:"rise_bytes"`  // of the resident memory at its highest, above what the process began with
	File     int64          `json:"file_bytes"`
	CPU      time.Duration  `json:"cpu_ns"` // of the process, for all of it
	Rows     map[string]int `json:"rows"`
}

// copyOnce runs the process.
func (r *run) copyOnce(ctx context.Context, n int) (*Copy, error) {
	dir := r.site.Folder(fmt.Sprintf("copy-%d", n))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // the site removes what is left
	text, err := json.Marshal(task{Database: r.site.Database().URL(syncDatabase), Dir: dir})
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, r.o.Self, "bench", "outage", "--task") //nolint:gosec // G204: our own binary
	var said strings.Builder
	cmd.Env = append(os.Environ(), "GOGC=400")
	cmd.Stdin, cmd.Stderr = strings.NewReader(string(text)), &said // the password is no argument
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("the process that copies: %w: %s", err, said.String())
	}
	var c Copy
	if err := json.Unmarshal(out, &c); err != nil {
		return nil, fmt.Errorf("the process that copies says %.100q: %w", out, err)
	}
	c.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if c.Rows["session"] != r.o.Signed {
		return nil, fmt.Errorf("the host cache has %d sessions of %d: %v", c.Rows["session"], r.o.Signed, c.Rows)
	}
	return &c, nil
}
