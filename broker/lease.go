package broker

import (
	"context"
	"time"
)

// Kinds of Lease (LS4).
const (
	// LeaseEnumeration says what a user may see: his desktops and the grants of his newest connect.
	LeaseEnumeration = "enumeration"
	// LeaseLaunch says where a desktop of a user's own is to which he has connected.
	LeaseLaunch = "launch"
)

// Lease is the outcome of a connect, kept for a time without the database (LS1). Pooled desktops have
// none: whom they go to next is the database's to say (LS8).
type Lease struct {
	Kind string `json:"kind"`
	Who
	// Desktop is the id of the desktop of a LeaseLaunch; empty for a LeaseEnumeration.
	Desktop string `json:"desktop,omitempty"`
	// Client is the device for which a LeaseLaunch counts; empty: for all (Leases.PerClient). What a user
	// may see does not depend on his device.
	Client   string         `json:"client,omitempty"`
	Desktops []LeaseDesktop `json:"desktops"`         // one for a LeaseLaunch
	Grants   []Grant        `json:"grants,omitempty"` // of a LeaseEnumeration
	Recorded time.Time      `json:"recorded"`         // by the database's clock, as are all of its times
	Expires  time.Time      `json:"expires"`
	Removed  time.Time      `json:"removed,omitzero"` // marked for deletion: brokers drop their copy
	Changed  time.Time      `json:"changed"`
}

// LeaseDesktop is all that is needed to connect to a desktop.
type LeaseDesktop struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Pool     string `json:"pool,omitempty"` // the name of the pool that it stands in, if any
	Host     string `json:"host"`
	Port     int    `json:"port"`
	Protocol string `json:"protocol"`
	Check    string `json:"check"`
	State    string `json:"state"`
}

// Usable says whether a lease counts at a moment.
func (l Lease) Usable(now time.Time) bool { return l.Removed.IsZero() && now.Before(l.Expires) }

// LeaseTerms is what a connect to a desktop of the user's own leaves behind; the zero value: nothing.
type LeaseTerms struct {
	Life   time.Duration // 0: no lease is recorded
	Client string        // as Lease.Client
}

// LeaseKeep is how long a lease stays after it was removed or has expired, for brokers that were cut off
// meanwhile. A copy that is older may hold what was removed: it begins anew.
const LeaseKeep = 7 * 24 * time.Hour

// Keeps bounds the time that a lease has to go which says the same already: it is left as it is, so that a
// user who connects all day does not write it each time. One that was made with a longer life is cut.
func (t LeaseTerms) Keeps() (least, most time.Duration) {
	const clocks = time.Minute // the moments of two transactions that run at once
	return t.Life - min(24*time.Hour, t.Life/2), t.Life + clocks
}

// LeaseFilter picks leases; the zero value picks all that are not removed.
type LeaseFilter struct {
	Kind, Directory, User, Desktop, Client string // each empty: any. Desktop is an id or a name.
	Removed                                bool   // those that are marked for deletion, too
	Most                                   int    // 0: 1000
}

// Limit is f.Most with its default.
func (f LeaseFilter) Limit() int {
	if f.Most <= 0 {
		return 1000
	}
	return f.Most
}

// LeaseCursor is how far a copy of the leases has come; the zero value is its beginning.
type LeaseCursor struct {
	Changed time.Time `json:"changed"`
	Key     string    `json:"key"` // of the last lease with that time, as the store orders them
}

// LeaseStore is the part of a Store that keeps leases. Connect records them, in its own transaction:
// the launch of a desktop of the user's own, and beside it what he may see. One that says the same
// already is written again only when it has less than Life - 24h to go (LeaseTerms.Keeps). A connect that
// repeats an idempotency key records none.
type LeaseStore interface {
	// Leases lists leases by user, kind, desktop and client. With f.Desktop they are launches of it. A row that
	// cannot be read is left out, and said in the log.
	Leases(ctx context.Context, f LeaseFilter) ([]Lease, error)
	// RemoveLeases marks those that f picks for deletion (f.Removed and f.Most do not count) and says how
	// many there were. The row of log, when it has a Ref, goes with them; without any there is none.
	RemoveLeases(ctx context.Context, f LeaseFilter, log LogRow) (removed int, err error)
	// LeasesAfter lists, in the order of their change, leases that have changed after the cursor, removed
	// and expired ones too: up to most, and where the next call goes on. Fewer than most are the end; rows that
	// cannot be read are left out and passed by, as with Leases. A change becomes visible when its
	// transaction commits, so a caller that has come to the end begins a minute before it next time.
	LeasesAfter(ctx context.Context, c LeaseCursor, most int) (list []Lease, next LeaseCursor, err error)
}

// Leases is the [leases] section of the setup: it is the cluster's, and counts without a restart (LS5).
type Leases struct {
	// Enabled: connects leave leases behind, and brokers serve from them; default true.
	Enabled *bool `toml:"enabled" json:",omitempty"`
	// Life is how long a lease counts after the connect; default 336h, 14 days (LS2).
	Life time.Duration `toml:"life" json:",omitempty"`
	// PerClient makes a lease count for the client device only that has connected; default false.
	PerClient bool `toml:"per_client" json:",omitempty"`
}
