package clusterbench

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"switchpoint/bench/pgserver"
	"switchpoint/bench/progress"
	"switchpoint/broker/postgres"
)

// Parts of the benchmark.
const (
	partQueue   = "queue"
	partLogin   = "login"
	partConnect = "connect"
)

// Parts lists them all.
func Parts() []string { return []string{partQueue, partLogin, partConnect} }

// Limits that hold on two cores.
const (
	minQueuePostgres = 8000 // jobs a second
	minQueueSQLite   = 5000
	minLogin         = 0.85 // of the rate of the same SQL under pgbench
	maxConnectP99    = 20   // ms
)

// Options says what is measured. Zero values mean the defaults.
type Options struct {
	Parts   []string      // default all
	Rounds  int           // of each figure; default 7
	Length  time.Duration // of one measurement, whole seconds; default 3 s
	Clients int           // of the login statement; default 16
	// What the database of the connects holds.
	LogRows  int // default 1,000,000
	Users    int // signed in; default 100,000
	Desktops int // default 50,000, half of them assigned
	Rate     int // connects a second; default 200
	// Profile is a file for a CPU profile of the store's logins; empty: none.
	Profile  string
	Quick    bool      // a run of some seconds whose figures mean nothing
	Progress io.Writer // nil: nobody watches
}

func (o Options) withDefaults() Options {
	if o.Quick {
		o.Rounds, o.Length, o.LogRows, o.Users, o.Desktops, o.Rate = 1, time.Second, 5000, 500, 400, 50
	}
	if len(o.Parts) == 0 {
		o.Parts = Parts()
	}
	o.Rounds = cmp.Or(o.Rounds, 7)
	o.Length = cmp.Or(o.Length, 3*time.Second)
	o.Clients = cmp.Or(o.Clients, 16)
	o.LogRows = cmp.Or(o.LogRows, 1_000_000)
	o.Users = cmp.Or(o.Users, 100_000)
	o.Desktops = cmp.Or(o.Desktops, 50_000)
	o.Rate = cmp.Or(o.Rate, 200)
	return o
}

// Validate says what cannot be run.
func (o Options) Validate() error {
	for _, p := range o.Parts {
		if !slices.Contains(Parts(), p) {
			return fmt.Errorf("there is no part %q: take some of %s", p, strings.Join(Parts(), ", "))
		}
	}
	for _, n := range []int{o.Rounds, int(o.Length), o.Clients, o.LogRows, o.Users, o.Desktops, o.Rate} {
		if n < 0 {
			return errors.New("rounds, length and numbers cannot be negative")
		}
	}
	o = o.withDefaults()
	if o.Length%time.Second != 0 {
		return errors.New("the length of a measurement is whole seconds: pgbench knows no others")
	}
	if need := o.Rounds * o.Rate * int(o.Length/time.Second); need > o.Users || need > o.Desktops/2 {
		return fmt.Errorf("%d connects each need a user and half of them a free desktop: ask for more users and desktops, or a lower rate", need)
	}
	return nil
}

// run is one benchmark under way.
type run struct {
	o      Options
	dir    string
	server *pgserver.Server
	bar    *progress.Bar
	report *Report
}

// Run starts PostgreSQL, measures the parts and removes everything again.
func Run(ctx context.Context, o Options) (report *Report, err error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	r := &run{o: o.withDefaults(), bar: progress.New(o.Progress)}
	r.report = &Report{Machine: fmt.Sprintf("%d CPUs, %s", runtime.NumCPU(), runtime.GOARCH), Rounds: r.o.Rounds, Length: r.o.Length}
	defer r.bar.Clear()
	if r.dir, err = os.MkdirTemp("", "switchpoint-bench-"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.dir)) }()
	if err := os.Chmod(r.dir, 0o711); err != nil { //nolint:gosec // G302: the server's own user must pass through
		return nil, err
	}
	r.bar.Say("starting PostgreSQL")
	r.server, err = pgserver.Start(ctx, pgserver.Options{
		Dir: filepath.Join(r.dir, "postgres"), Addr: "127.0.0.1:0", Password: rand.Text(),
		Settings: map[string]string{"shared_buffers": "256MB", "max_connections": "100", "max_wal_size": "4GB", "log_min_messages": "warning"},
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.server.Stop()) }()
	if r.report.Database, err = r.server.Version(ctx); err != nil {
		return nil, err
	}
	for _, part := range []struct {
		name    string
		measure func(context.Context) error
	}{{partQueue, r.queue}, {partLogin, r.login}, {partConnect, r.connect}} {
		if !slices.Contains(r.o.Parts, part.name) {
			continue
		}
		if err := part.measure(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return r.report, nil
}

// database makes a database.
func (r *run) database(ctx context.Context, name string) error {
	_, err := r.server.SQL(ctx, "postgres", "CREATE DATABASE "+name)
	return err
}

// open opens a store on a database of the server.
func (r *run) open(ctx context.Context, database string, connections int) (*postgres.Store, error) {
	return postgres.Open(ctx, postgres.Options{URL: r.server.URL(database), MaxConns: connections, QueryTimeout: time.Minute})
}
