package outage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"time"

	"switchpoint/broker"
)

// LeaseStatus is the copy of the cluster's leases that this broker serves from (LS3).
type LeaseStatus struct {
	Usable     bool      `json:"usable"` // it would serve now
	Why        string    `json:"why,omitempty"`
	Serving    bool      `json:"serving"`
	Held       int       `json:"held"`       // that count, readable or not
	Unreadable int       `json:"unreadable"` // of those
	Synced     time.Time `json:"synced,omitzero"`
	Full       time.Time `json:"full,omitzero"` // when it was last made anew
	Setup      int64     `json:"setup"`         // version of the setup that it would serve with
	Tried      time.Time `json:"tried,omitzero"`
	Error      string    `json:"error,omitempty"` // of the newest synchronisation
}

// LeaseSync says what one synchronisation did.
type LeaseSync struct {
	Read int           `json:"read"` // leases that the database named as new or changed
	Held int           `json:"held"`
	Anew bool          `json:"anew"` // the copy was made anew
	Took time.Duration `json:"took"`
}

// leaseCopy is the copy in node.db as this process knows it.
type leaseCopy struct {
	turn chan struct{} // holds one token while it is synchronised

	mu      sync.Mutex
	of      string // the cluster that this broker has joined; empty: none yet
	state   copyState
	setup   *keptVersion // nil: none was copied yet
	held    int
	broken  map[string]bool // what of it cannot be read
	tried   time.Time
	err     error    // of the newest synchronisation
	trouble *trouble // of the newest attempt to serve from it
}

// brokenMost bounds what is remembered of leases that cannot be read.
const brokenMost = 1000

func newLeaseCopy() *leaseCopy {
	return &leaseCopy{turn: make(chan struct{}, 1), broken: make(map[string]bool)}
}

// joined tells the cluster that this broker is a member of from others: their leases are not its own.
func (c *leaseCopy) joined(in broker.Cluster) {
	sum := sha256.Sum256(append([]byte("leases of "+in.Name+"\x00"), in.Secret[:]...))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of = hex.EncodeToString(sum[:16])
}

// openLeaseCopy reads what an earlier process has copied.
func (s *Store) openLeaseCopy(ctx context.Context) error {
	c := s.leases
	if _, err := s.node.kept(ctx, keptLeases, &c.state); err != nil {
		return err
	}
	var m member
	if found, err := s.node.kept(ctx, keptMember, &m); err != nil {
		return err
	} else if found {
		c.joined(m.Membership.Cluster)
	}
	var v keptVersion
	found, err := s.node.kept(ctx, keptSetup, &v)
	if err != nil {
		return err
	}
	if found {
		c.setup = &v
	}
	var list []broker.NodeStatus
	if found, err = s.node.kept(ctx, keptBrokers, &list); err != nil {
		return err
	}
	if found {
		s.brokers.Store(&list)
	}
	c.held, err = s.node.countLeases(ctx, time.Now())
	return err
}

// isBroken notes a lease that cannot be read. The next synchronisation makes the copy anew.
func (s *Store) isBroken(err error) {
	c := s.leases
	c.mu.Lock()
	known := c.broken[err.Error()]
	if len(c.broken) < brokenMost {
		c.broken[err.Error()] = true
	}
	c.mu.Unlock()
	if !known {
		s.log.Error("a lease in node.db cannot be read and is left out", "error", err)
	}
}

// usable says whether the broker could serve from its leases, or why not.
func (c *leaseCopy) usable() (bool, string) {
	c.mu.Lock()
	t := c.trouble
	c.mu.Unlock()
	if t != nil {
		return false, t.err.Error()
	}
	return c.ready()
}

// ready says whether there is something to serve from.
func (c *leaseCopy) ready() (bool, string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.setup == nil || c.state.Synced.IsZero():
		return false, "none were copied yet"
	case c.state.Of != c.of:
		return false, "those that were copied are of another cluster"
	case !*c.setup.Setup.Leases.WithDefaults().Enabled:
		return false, "they are switched off in the setup"
	case c.held == 0:
		return false, "there are none: nobody has connected to a desktop of his own"
	}
	return true, ""
}

// opened takes how an attempt to serve from leases went.
func (c *leaseCopy) opened(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.trouble = nil; err != nil {
		c.trouble = &trouble{time.Now(), err}
	}
}

// failedFor says whether the newest attempt was longer ago than that, and failed.
func (c *leaseCopy) failedFor(d time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.trouble != nil && time.Since(c.trouble.at) > d
}

// terms are from when the copy is, and for how long leases count.
func (c *leaseCopy) terms() (synced time.Time, life time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.Synced, c.setup.Setup.Leases.WithDefaults().Life
}

// leasesUsable says whether calls can be served from leases.
func (s *Store) leasesUsable() (bool, string) {
	if why := s.o.Config.Leasing(); why != "" {
		return false, why
	}
	if l := s.files.Load(); l != nil && l.leases.alone() {
		return true, ""
	}
	return s.leases.usable()
}

// LeaseStatus says how the copy of the leases stands.
func (s *Store) LeaseStatus() LeaseStatus {
	out := LeaseStatus{}
	out.Usable, out.Why = s.leasesUsable()
	l := s.files.Load()
	out.Serving = l != nil && l.leases.alone()
	c := s.leases
	c.mu.Lock()
	defer c.mu.Unlock()
	out.Held, out.Unreadable, out.Synced, out.Full, out.Tried = c.held, len(c.broken), c.state.Synced, c.state.Full, c.tried
	if c.setup != nil {
		out.Setup = c.setup.Version
	}
	if c.err != nil {
		out.Error = c.err.Error()
	}
	return out
}

// LocalLeases lists the leases of this broker's own copy, as Leases lists those of the database. None of
// them is removed: a copy of such a one is dropped.
func (s *Store) LocalLeases(ctx context.Context, f broker.LeaseFilter) (list []broker.Lease, err error) {
	err = s.node.eachLease(ctx, leaseRow+` AND (?2 = '' OR user = ?2) ORDER BY directory, user, kind, desktop, client`, func(l broker.Lease) bool {
		if picks(f, l) {
			list = append(list, l)
		}
		return len(list) < f.Limit()
	}, s.isBroken, time.Now().UnixMilli(), strings.ToLower(f.User))
	return list, err
}

// picks says whether f picks the lease.
func picks(f broker.LeaseFilter, l broker.Lease) bool {
	desktop := f.Desktop == "" || l.Kind == broker.LeaseLaunch && (f.Desktop == l.Desktop || f.Desktop == l.Desktops[0].Name)
	return desktop && (f.Kind == "" || f.Kind == l.Kind) && (f.Directory == "" || f.Directory == l.Directory) &&
		(f.User == "" || strings.EqualFold(f.User, l.User)) && (f.Client == "" || f.Client == l.Client)
}

// RefreshLeases makes the copy of the leases anew from the database, now (LS6: Update-BrokerLocalLeaseCache).
func (s *Store) RefreshLeases(ctx context.Context) (LeaseSync, error) {
	if why := s.o.Config.Leasing(); why != "" {
		return LeaseSync{}, fmt.Errorf("%w: this broker does not serve from leases: %s", broker.ErrConflict, why)
	}
	return s.syncLeases(ctx, true)
}
