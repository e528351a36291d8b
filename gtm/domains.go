package gtm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"switchpoint/gtm/place"
)

// Bounds of the search for the names of client computers.
const (
	reverseWorkers = 8
	reverseQueue   = 1024
	// reverseNone and reverseFailed are the longest times for which a client without a name, and
	// one that no server said anything of, is not asked for again.
	reverseNone   = 5 * time.Minute
	reverseFailed = 30 * time.Second
)

// domains knows the names of client computers (GT13). A query only looks into its memory; what is
// not there is looked up by workers, from a bounded queue, each client once at a time. Until then
// the client gets the answer of its address.
//
// The memory is two maps: when the young one is half of all entries, the old one is forgotten and
// the young one takes its place. Whoever is still asking is looked up again by then.
type domains struct {
	log     *slog.Logger
	lookups *prometheus.CounterVec
	dropped prometheus.Counter
	queue   chan netip.Addr
	good    atomic.Uint32 // which server to ask first: the one that answered last
	failing atomic.Bool

	mu         sync.RWMutex
	reverse    place.Reverse
	young, old map[netip.Addr]computer
	pending    map[netip.Addr]bool // in the queue or being looked up
}

// computer is what is known of a client's computer.
type computer struct {
	name  string    // empty: it has none, or nobody knows
	until time.Time // until then the name counts
	ask   time.Time // from then on it is looked up again
}

// What a look-up came to: values of the label result.
const (
	lookupNamed   = "named"
	lookupUnnamed = "unnamed"
	lookupFailed  = "failed"
)

func newDomains(log *slog.Logger, reg prometheus.Registerer) (*domains, error) {
	d := &domains{
		log: log, queue: make(chan netip.Addr, reverseQueue), pending: make(map[netip.Addr]bool),
		lookups: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_gtm_reverse_lookups_total",
			Help: "Look-ups of the names of client computers, by result: named, unnamed or failed.",
		}, []string{"result"}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "switchpoint_gtm_reverse_dropped_total",
			Help: "Client computers that were not looked up because too many others waited.",
		}),
	}
	for _, result := range []string{lookupNamed, lookupUnnamed, lookupFailed} {
		d.lookups.WithLabelValues(result) // so that it is there before the first one
	}
	if reg == nil {
		return d, nil
	}
	if err := errors.Join(reg.Register(d.lookups), reg.Register(d.dropped)); err != nil {
		return nil, fmt.Errorf("register gtm metrics: %w", err)
	}
	return d, nil
}

// configure takes new settings; with others than before, all is forgotten.
func (d *domains) configure(r place.Reverse) {
	d.mu.Lock()
	defer d.mu.Unlock()
	same := slices.Equal(d.reverse.Servers, r.Servers) && d.reverse.Timeout == r.Timeout &&
		d.reverse.Keep == r.Keep && d.reverse.Entries == r.Entries
	if !same {
		d.reverse, d.young, d.old = r, make(map[netip.Addr]computer), nil
	}
}

// find gives the name of the computer at an address, empty where none is known. due says that it
// should be looked up.
func (d *domains) find(client netip.Addr, now time.Time) (name string, due bool) {
	d.mu.RLock()
	c := d.entry(client)
	d.mu.RUnlock()
	if now.Before(c.until) {
		name = c.name
	}
	return name, !now.Before(c.ask)
}

// entry is what is remembered of a client. d.mu is held.
func (d *domains) entry(client netip.Addr) computer {
	c, ok := d.young[client]
	if !ok {
		c = d.old[client]
	}
	return c
}

// lookUp asks for a client's name to be found out. It never waits.
func (d *domains) lookUp(client netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.reverse.Servers) == 0 || d.pending[client] {
		return
	}
	select {
	case d.queue <- client:
		d.pending[client] = true
	default:
		d.dropped.Inc()
	}
}

// run looks up until ctx ends. table gives the present configuration.
func (d *domains) run(ctx context.Context, table func() *Table) error {
	g, ctx := errgroup.WithContext(ctx)
	for range reverseWorkers {
		g.Go(func() error {
			for {
				select {
				case <-ctx.Done():
					return nil
				case client := <-d.queue:
					d.serve(ctx, client, table())
				}
			}
		})
	}
	return g.Wait()
}

// serve looks one client up.
func (d *domains) serve(ctx context.Context, client netip.Addr, t *Table) {
	d.mu.RLock()
	r := d.reverse
	d.mu.RUnlock()
	names, err := d.ask(ctx, r, client)
	name := ""
	if t != nil {
		name = t.places.PickDomain(names)
	}
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		d.lookups.WithLabelValues(lookupFailed).Inc()
		if !d.failing.Swap(true) {
			d.log.Warn("the names of client computers cannot be found; their addresses decide", "error", err)
		}
	default:
		if d.failing.Swap(false) {
			d.log.Info("the names of client computers can be found again")
		}
		result := lookupNamed
		if name == "" {
			result = lookupUnnamed
		}
		d.lookups.WithLabelValues(result).Inc()
	}
	d.keep(client, name, err != nil, time.Now())
}

// ask puts the question to the servers, beginning with the one that answered last.
func (d *domains) ask(ctx context.Context, r place.Reverse, client netip.Addr) ([]string, error) {
	err := errors.New("no name server is configured")
	first := int(d.good.Load())
	for i := range r.Servers {
		at := (first + i) % len(r.Servers)
		var names []string
		if names, err = reverseNames(ctx, r.Servers[at], r.Timeout, client); err == nil {
			d.good.Store(uint32(at))
			return names, nil
		}
	}
	return nil, err
}

// keep remembers what a look-up came to. A failure takes no name away before its time.
func (d *domains) keep(client netip.Addr, name string, failed bool, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.pending, client)
	c := computer{name: name}
	switch life := d.reverse.Keep; {
	case failed:
		c = d.entry(client)
		c.ask = now.Add(min(life, reverseFailed))
	case name == "":
		c.ask = now.Add(min(life, reverseNone))
	default: // looked up again while it still counts, so that a client does not go back and forth
		c.until, c.ask = now.Add(life), now.Add(life*3/4)
	}
	if len(d.young) >= d.reverse.Entries/2 {
		d.old, d.young = d.young, make(map[netip.Addr]computer)
	}
	d.young[client] = c
}
