package logins

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"time"

	"switchpoint/bench/adminsocket"
	"switchpoint/bench/pgserver"
	"switchpoint/bench/progress"
)

// Site is PostgreSQL, slapd and what it takes to put chains before them, for benchmarks that do
// something to a chain while users sign in.
type Site struct{ run *run }

// NewSite starts the servers. Of the options Users, Hold, Probe, Rate, Logs, Quick, Progress and Self count.
// Close it.
func NewSite(ctx context.Context, o Options) (*Site, error) {
	r, err := begin(ctx, o)
	if err != nil {
		return nil, err
	}
	return &Site{r}, nil
}

// Close stops the servers and removes the files.
func (s *Site) Close() error { return s.run.end() }

// Report has machine, versions and settings; each load that is kept adds to it.
func (s *Site) Report() *Report { return s.run.report }

// Bar shows how far the benchmark is. A load has it to itself.
func (s *Site) Bar() *progress.Bar { return s.run.bar }

// Database is the server that all chains have in common.
func (s *Site) Database() *pgserver.Server { return s.run.stage.pg }

// Folder makes a path of the site's own.
func (s *Site) Folder(name string) string { return s.run.stage.file(name) }

// Users is how many there are in the directory.
func (s *Site) Users() int { return s.run.o.Users }

// Plan is what a chain of one broker is to be.
type Plan struct {
	Desktops int    // of a pool that all users may use
	Owned    int    // users, from the first, with a desktop of their own
	Postgres string // host:port at which the broker finds the database server; empty: its own
	Outage   string // lines of [broker.outage]
}

// Chain is gtm, lb and one broker.
type Chain struct {
	chain *chain
	run   *run
}

// Start makes a database and starts a chain on it, which serves when Start returns. Close it.
func (s *Site) Start(ctx context.Context, p Plan) (*Chain, error) {
	c, err := s.run.stage.startChain(ctx, s.run.bar, chainSpec{
		brokers: 1, desktops: p.Desktops, owned: p.Owned, postgres: p.Postgres, outage: p.Outage,
	})
	if err != nil {
		return nil, err
	}
	return &Chain{c, s.run}, nil
}

// Close ends the processes.
func (c *Chain) Close() { c.chain.close() }

// Broker is where the broker listens for HTTPS.
func (c *Chain) Broker() string { return c.chain.brokerAddrs[0] }

// CA is the file with the root of all certificates.
func (c *Chain) CA() string { return c.chain.stage.ca.CAFile() }

// Ask calls an operation of the broker's admin socket and decodes its answer.
func (c *Chain) Ask(ctx context.Context, method, path string, to any) error {
	var text bytes.Buffer
	if err := adminsocket.Call(ctx, c.chain.socket(brokerName(0)), method, "/admin/v1/"+path, &text); err != nil || to == nil {
		return err
	}
	return json.Unmarshal(text.Bytes(), to)
}

// Warm opens what is opened once. A chain that lets nobody in is an error.
func (c *Chain) Warm(ctx context.Context) error { return c.run.warm(ctx, c.chain, c.chain.clients()) }

// Load is an open loop of logins through gtm and lb.
type Load struct {
	Rate  float64
	For   time.Duration
	Count int  // in place of For
	Users int  // of the directory, from the first, that take turns; 0: all
	Kept  bool // connections are kept; else each login has its own
	Stay  bool // each connects to his first offer and remains signed in
	// Away: the database comes and goes meanwhile, so nobody meters it.
	Away bool
}

func (c *Chain) load(l Load) (task, meter) {
	t, m := c.chain.clients(), c.chain.meter()
	t.Rate, t.For, t.Count, t.Journey, t.Stay, t.Poisson = l.Rate, l.For, l.Count, l.Stay, l.Stay, true
	t.Users = cmp.Or(l.Users, t.Users)
	if l.Kept {
		t.Kept = keptConnections
	}
	if l.Away {
		delete(m, whoPostgres)
	}
	return t, m
}

// Sign lets users sign in, in turns, and says what became of them. With control it ends when that returns,
// which is called when the first login is due, or when For is over.
func (c *Chain) Sign(ctx context.Context, name string, l Load, control func()) (*Measured, error) {
	t, m := c.load(l)
	return c.run.loadUntil(ctx, name, t, m, control)
}

// Hold searches the highest rate that the chain sustains (or takes Options.Rate) and holds it for
// Options.Hold; the report keeps the run.
func (c *Chain) Hold(ctx context.Context, name string, l Load) (*Measured, error) {
	t, m := c.load(l)
	return c.run.highest(ctx, name, m, t)
}

// Keep adds a run to the report.
func (s *Site) Keep(v *Measured) { s.run.keep(v) }

// Achieved is logins that were answered well in a second.
func (v *Measured) Achieved() float64 { return v.rate() }
