package sites

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Defaults of a Watcher.
const (
	DefaultRefresh      = 15 * time.Minute
	DefaultApproveAbove = 20
)

// firstRetry is the wait after a failed poll; it doubles up to Refresh.
const firstRetry = 5 * time.Second

// ErrNothingPending means that no change waits for approval.
var ErrNothingPending = errors.New("no change of sites and subnets waits for approval")

// Options are what a Watcher needs. Exactly one source is given.
type Options struct {
	Config *Config // domain controllers
	LDIF   string  // path of an export, see ReadLDIF
	CSV    string  // path of an export of Get-ADReplicationSubnet: Name, Site, Location

	Refresh time.Duration // between polls; default 15m
	// ApproveAbove is the number of changed subnets (Changes.Count) up to which a new set is taken
	// without asking; default 20, negative: never ask.
	ApproveAbove int
	// Owners says who is in which site of a set, as for Routes: which sites' order counts as a change.
	Owners   func(*Set) map[string]int
	StateDir string // where the last good copy is kept; empty: nowhere
	Log      *slog.Logger
	Metrics  prometheus.Registerer
	// Changed is told every new set that differs from the one before, one at a time. It must not call
	// Approve. The set that New finds on disk is not told: ask Current.
	Changed func(*Set)
}

// Watcher keeps a Set fresh. See the package comment for its states.
type Watcher struct {
	o       Options
	log     *slog.Logger
	metrics metrics
	read    func(context.Context) (*Set, error)
	current atomic.Pointer[Set]

	taking sync.Mutex // one set at a time is weighed, stored and told

	mu      sync.Mutex // guards what follows
	pending waiting
	polled  time.Time
	failure string
	unsaved string
}

// waiting is a set that waits for approval; without one set is nil.
type waiting struct {
	set     *Set
	changes Changes
	id      string
}

// Status is what a Watcher knows of itself.
type Status struct {
	Source                string // of the copy in use
	Read                  time.Time
	Sites, Subnets, Links int
	Problems              int
	Polled                time.Time // the last attempt; zero before the first
	Failure               string    // of the last attempt; empty when it was good
	NotSaved              string    // why the copy in use is not on disk; empty when it is
	Pending               int       // changed subnets that wait for approval
	PendingID             string    // of the change that waits; empty when none does
}

// New makes a Watcher, with the copy of an earlier run if there is one. Run starts it.
func New(o Options) (*Watcher, error) {
	o.Refresh = cmp.Or(o.Refresh, DefaultRefresh)
	o.ApproveAbove = cmp.Or(o.ApproveAbove, DefaultApproveAbove)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	read, err := o.source()
	if err != nil {
		return nil, err
	}
	w := &Watcher{o: o, log: o.Log, read: read}
	w.metrics = newMetrics(o.Metrics, w)
	if o.StateDir == "" {
		return w, nil
	}
	kept, err := load(o.StateDir)
	if err != nil {
		w.log.Error("the copy of the directory's sites is lost until the next poll", "error", err)
	}
	if kept != nil {
		w.current.Store(kept)
	}
	return w, nil
}

// Current is the set in use; nil before the first import.
func (w *Watcher) Current() *Set { return w.current.Load() }

// Pending gives the change that waits for approval.
func (w *Watcher) Pending() (Changes, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pending.changes, w.pending.set != nil
}

// Status tells how it stands.
func (w *Watcher) Status() Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := Status{Polled: w.polled, Failure: w.failure, NotSaved: w.unsaved}
	if set := w.Current(); set != nil {
		s.Source, s.Read, s.Problems = set.Source(), set.Time(), len(set.c.Problems)
		s.Sites, s.Subnets, s.Links = set.Len()
	}
	s.Pending, s.PendingID = w.pending.changes.Count(), w.pending.id
	return s
}

// Run polls until ctx ends, at once and then every Refresh, and sooner after a failure. It returns
// nil.
func (w *Watcher) Run(ctx context.Context) error {
	retry := min(firstRetry, w.o.Refresh)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		err := w.poll(ctx)
		switch {
		case err == nil:
			retry = min(firstRetry, w.o.Refresh)
			timer.Reset(w.o.Refresh)
		case errors.Is(err, ErrRefused): // every attempt brings the account nearer to being locked
			timer.Reset(w.o.Refresh)
		default:
			timer.Reset(retry)
			retry = min(2*retry, w.o.Refresh)
		}
	}
}

// poll reads once.
func (w *Watcher) poll(ctx context.Context) error {
	set, err := w.read(ctx)
	if ctx.Err() != nil {
		return ctx.Err() // the end of this process is no failure of the directory
	}
	w.note(err)
	if err == nil {
		w.weigh(set)
	}
	return err
}

// localPort is the part of an error of package net that is never the same twice.
var localPort = regexp.MustCompile(`\S+->`)

// note remembers how a poll went and logs what is new about it.
func (w *Watcher) note(err error) {
	now := ""
	if err != nil {
		now = localPort.ReplaceAllString(err.Error(), "")
		w.metrics.failed.Inc()
	} else {
		w.metrics.good.Inc()
	}
	w.mu.Lock()
	before := w.failure
	w.failure, w.polled = now, time.Now()
	w.mu.Unlock()
	switch {
	case now == before:
	case err == nil:
		w.log.Info("the directory's sites and subnets can be read again")
	case w.Current() == nil:
		w.log.Warn("the directory's sites and subnets cannot be read, and there is no earlier copy", "error", now)
	default:
		w.log.Warn("the directory's sites and subnets cannot be read; the last good copy stays in use",
			"copy_of", w.Current().Time(), "error", now)
	}
}

// weigh takes a new set, or lets it wait for approval.
func (w *Watcher) weigh(set *Set) {
	w.taking.Lock()
	defer w.taking.Unlock()
	before := w.Current()
	changes := Diff(before, set, w.o.Owners)
	if before == nil || w.o.ApproveAbove < 0 || changes.Count() <= w.o.ApproveAbove {
		w.take(before, set, changes)
		return
	}
	next := waiting{set: set, changes: changes, id: changes.ID()}
	w.mu.Lock()
	known := w.pending.id == next.id
	w.pending = next
	w.mu.Unlock()
	if !known {
		w.log.Warn("a change of the directory's subnets waits for approval", "subnets", changes.Count(),
			"approve_above", w.o.ApproveAbove, "id", next.id)
	}
}

// take puts a set to use. w.taking is held.
func (w *Watcher) take(before, set *Set, changes Changes) {
	w.current.Store(set)
	unsaved := ""
	if w.o.StateDir != "" {
		if err := save(w.o.StateDir, set); err != nil {
			unsaved = err.Error()
		}
	}
	w.mu.Lock()
	w.pending = waiting{}
	news := unsaved != w.unsaved
	w.unsaved = unsaved
	w.mu.Unlock()
	if news && unsaved != "" {
		w.log.Error("the copy of the directory's sites cannot be kept on disk", "error", unsaved)
	}
	if before != nil && changes.Empty() {
		return
	}
	sites, subnets, links := set.Len()
	w.log.Info("sites and subnets of the directory are in use", "source", set.Source(), "sites", sites, "subnets", subnets,
		"links", links, "changed_subnets", changes.Count(), "problems", len(set.c.Problems))
	if w.o.Changed != nil {
		w.o.Changed(set)
	}
}

// Approve takes the change that waits. The id is that of the Changes that were looked at: when
// another poll has found something else meanwhile, that is an error and nothing is taken. An empty
// id takes whatever waits.
func (w *Watcher) Approve(id string) error {
	w.taking.Lock()
	defer w.taking.Unlock()
	w.mu.Lock()
	p := w.pending
	w.mu.Unlock()
	switch {
	case p.set == nil:
		return ErrNothingPending
	case id != "" && id != p.id:
		return fmt.Errorf("the change %s does not wait any more, %s does: look at it first", quote(id), p.id)
	}
	w.take(w.Current(), p.set, p.changes)
	return nil
}

// ID is the same for the same changes, short enough to be typed.
func (c Changes) ID() string {
	sum := sha256.Sum256([]byte(strings.Join(c.Lines(), "\n")))
	return hex.EncodeToString(sum[:4])
}
