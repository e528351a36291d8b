package outage

import (
	"context"
	"fmt"
	"slices"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/sqlite"
)

// leaseBook brings the desktops of leases into the file that calls are served from, when their user comes.
// Nil: leases are not for this broker.
type leaseBook struct {
	node   *node
	cache  *sqlite.Store
	only   bool            // the file has no desktop but those
	lacks  map[string]bool // else: ids of desktops that the host cache could not take
	synced time.Time
	life   time.Duration // of leases, for the words of a refusal
	broken func(error)
}

// alone says whether there is nothing to serve from but leases.
func (b *leaseBook) alone() bool { return b != nil && b.only }

// counts says whether a desktop is reached by its lease alone.
func (b *leaseBook) counts(desktop string) bool { return b != nil && (b.only || b.lacks[desktop]) }

// errNoLease is said to who wants a desktop that he has no lease of.
var errNoLease = fmt.Errorf("%w: no lease of this desktop", broker.ErrNoDesktop)

// bring sees to the user's desktops: what a lease says he may see, and where he has connected to. In a host
// cache those are the desktops that it lacks and that he has connected to (DC8).
func (b *leaseBook) bring(ctx context.Context, who broker.Who) error {
	_, err := b.leasesFor(ctx, who)
	return err
}

// leasesFor is bring, and lists the user's leases, the newest first.
func (b *leaseBook) leasesFor(ctx context.Context, who broker.Who) ([]broker.Lease, error) {
	if b == nil || !b.only && len(b.lacks) == 0 {
		return nil, nil
	}
	list, err := b.node.leasesOf(ctx, who, time.Now(), b.broken)
	if err != nil {
		return nil, err
	}
	var desktops []broker.LeaseDesktop
	for _, l := range list { // the newest lease knows best where a desktop is
		for _, d := range l.Desktops {
			known := slices.ContainsFunc(desktops, func(o broker.LeaseDesktop) bool { return o.ID == d.ID })
			if known || !b.only && (l.Kind != broker.LeaseLaunch || !b.lacks[d.ID]) {
				continue
			}
			gone, err := b.node.passedOn(ctx, d.ID, who, l.Recorded)
			if err != nil {
				return nil, err
			}
			if !gone {
				desktops = append(desktops, d)
			}
		}
	}
	if len(desktops) == 0 {
		return list, nil
	}
	return list, b.cache.AdoptDesktops(ctx, who, desktops)
}

// bringDesktops is bring for desktops, by their names: for what is said of them before their users come.
func (b *leaseBook) bringDesktops(ctx context.Context, names ...string) error {
	names = slices.DeleteFunc(names, func(name string) bool { return name == "" })
	if len(names) == 0 || b == nil || !b.only && len(b.lacks) == 0 {
		return nil
	}
	users := make(map[broker.Who]bool)
	err := b.node.eachLease(ctx, leaseRow, func(l broker.Lease) bool {
		if slices.ContainsFunc(l.Desktops, func(d broker.LeaseDesktop) bool { return slices.Contains(names, d.Name) }) {
			users[l.Who] = true
		}
		return true
	}, b.broken, time.Now().UnixMilli())
	if err != nil {
		return err
	}
	for who := range users {
		if err := b.bring(ctx, who); err != nil {
			return err
		}
	}
	return nil
}

// begin is bring for a login, with the words of its explanation.
func (b *leaseBook) begin(ctx context.Context, r *broker.LoginRecord) error {
	list, err := b.leasesFor(ctx, r.Who)
	if err != nil || !b.alone() {
		return err
	}
	words := fmt.Sprintf("served from leases, as the database had them at %s: it does not answer, and there is no host cache", b.asOf())
	if len(list) == 0 {
		words += "; this user has none: " + b.none()
	}
	r.Log.Reason = append(slices.Clip(r.Log.Reason), words)
	return nil
}

// allow refuses a desktop that the session's user has not connected to before, or not from this client where
// that counts. For a connect that the host cache answers for it does nothing. It says why in row.
func (b *leaseBook) allow(ctx context.Context, s broker.Session, desktop string, row *broker.LogRow) error {
	if desktop == "" || !b.counts(desktop) {
		return nil
	}
	list, err := b.leasesFor(ctx, s.Who) // the session may be older than the file
	if err != nil {
		return err
	}
	others := false
	for _, l := range list {
		switch {
		case l.Kind != broker.LeaseLaunch || l.Desktop != desktop:
		case l.Client != "" && l.Client != s.ClientName:
			others = true
		default:
			if gone, err := b.node.passedOn(ctx, desktop, s.Who, l.Recorded); err != nil {
				return err
			} else if gone {
				return fmt.Errorf("%w: somebody else has connected to it as his own since %s", errNoLease, l.Recorded.UTC().Format(time.DateTime))
			}
			if row != nil {
				row.Reason = append(slices.Clip(row.Reason), fmt.Sprintf("by the lease of %s UTC, which counts until %s UTC",
					l.Recorded.UTC().Format(time.DateTime), l.Expires.UTC().Format(time.DateTime)))
			}
			return nil
		}
	}
	if others {
		return fmt.Errorf("%w: leases count for one client each, and there is none for client %q", errNoLease, s.ClientName)
	}
	return fmt.Errorf("%w: %s", errNoLease, b.none())
}

// none says what it means that there is no lease.
func (b *leaseBook) none() string {
	return fmt.Sprintf("it was not connected to within %s, or only after this broker last copied the leases, at %s, or the lease was removed", days(b.life), b.asOf())
}

func (b *leaseBook) asOf() string { return b.synced.UTC().Format(time.DateTime) + " UTC" }

// days writes whole days as such.
func days(d time.Duration) string {
	if day := 24 * time.Hour; d > day && d%day == 0 {
		return fmt.Sprintf("%d days", d/day)
	}
	return d.String()
}
