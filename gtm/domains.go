package gtm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
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
	// reverseCalm is how long nothing must fail before the log says so: the servers may never know
	// of some clients, and always of others.
	reverseCalm = time.Minute
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

	mu         sync.RWMutex
	places     *place.Table // whose servers and suffixes count
	generation uint32       // grows with other servers or suffixes: all is looked up again
	failing    bool         // as logged
	failed     time.Time    // when a look-up failed last
	young, old map[netip.Addr]computer
	pending    map[netip.Addr]bool // in the queue or being looked up
}

// computer is what is known of a client's computer.
type computer struct {
	name  string    // empty: it has none, or nobody knows
	until time.Time // until then the name counts
	ask   time.Time // from then on it is looked up again
	of    uint32    // the generation under which it was looked up
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

// configure takes new settings. With others of [gtm.reverse] all is forgotten; with other suffixes
// another one of a client's names may count, so all are looked up again.
func (d *domains) configure(t *place.Table) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.places
	d.places = t
	switch {
	case before == nil || !reflect.DeepEqual(before.Reverse(), t.Reverse()):
		d.generation++
		d.young, d.old = make(map[netip.Addr]computer), nil
	case !slices.Equal(before.Suffixes(), t.Suffixes()):
		d.generation++
	}
}

// find gives the name of the computer at an address, empty where none is known. due says that it
// should be looked up.
func (d *domains) find(client netip.Addr, now time.Time) (name string, due bool) {
	d.mu.RLock()
	c, generation := d.entry(client), d.generation
	d.mu.RUnlock()
	if now.Before(c.until) {
		name = c.name
	}
	return name, c.of != generation || !now.Before(c.ask)
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
	if d.places == nil || len(d.places.Reverse().Servers) == 0 || d.pending[client] {
		return
	}
	select {
	case d.queue <- client:
		d.pending[client] = true
	default:
		d.dropped.Inc()
	}
}

// run looks up until ctx ends.
func (d *domains) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for range reverseWorkers {
		g.Go(func() error {
			for {
				select {
				case <-ctx.Done():
					return nil
				case client := <-d.queue:
					d.serve(ctx, client)
				}
			}
		})
	}
	return g.Wait()
}

// serve looks one client up.
func (d *domains) serve(ctx context.Context, client netip.Addr) {
	d.mu.RLock()
	places, generation := d.places, d.generation
	d.mu.RUnlock()
	names, err := d.ask(ctx, places.Reverse(), client)
	if ctx.Err() != nil {
		return
	}
	name, result := places.PickDomain(names), lookupNamed
	switch {
	case err != nil:
		result = lookupFailed
	case name == "":
		result = lookupUnnamed
	}
	d.lookups.WithLabelValues(result).Inc()
	now := time.Now()
	d.note(err, now)
	d.keep(client, name, err != nil, generation, now)
}

// note logs when look-ups begin to fail, and when none has failed for a while.
func (d *domains) note(err error, now time.Time) {
	d.mu.Lock()
	was := d.failing
	switch {
	case err != nil:
		d.failing, d.failed = true, now
	case now.Sub(d.failed) >= reverseCalm:
		d.failing = false
	}
	is := d.failing
	d.mu.Unlock()
	switch {
	case is && !was:
		d.log.Warn("the names of client computers cannot be found, of some or of all; their addresses decide", "error", err)
	case was && !is:
		d.log.Info("the names of client computers can be found again")
	}
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

// keep remembers what a look-up came to, unless it was made for other settings. A failure takes no
// name away before its time.
func (d *domains) keep(client netip.Addr, name string, failed bool, generation uint32, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.pending, client)
	if generation != d.generation {
		return
	}
	c := computer{name: name}
	r := d.places.Reverse()
	switch life := r.Keep; {
	case failed:
		c = d.entry(client)
		c.ask = now.Add(min(life, reverseFailed))
	case name == "":
		c.ask = now.Add(min(life, reverseNone))
	default: // looked up again while it still counts, so that a client does not go back and forth
		c.until, c.ask = now.Add(life), now.Add(life*3/4)
	}
	c.of = generation
	if len(d.young) >= r.Entries/2 {
		d.old, d.young = d.young, make(map[netip.Addr]computer)
	}
	d.young[client] = c
}
