package broker

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// leaseBound bounds what an operator does with leases, of which a cluster has a hundred thousand.
const leaseBound = 20 * time.Second

// leaseWithin gives an operator's question that bound, and less when the database is known to be away.
func (b *Broker) leaseWithin(ctx context.Context) (context.Context, context.CancelFunc) {
	bound := leaseBound
	if mode, _ := b.mode(); mode != modeNormal {
		bound = storeTimeout
	}
	return context.WithTimeout(ctx, bound)
}

// Leases lists the leases of the cluster.
func (b *Broker) Leases(ctx context.Context, f LeaseFilter) ([]Lease, error) {
	ctx, cancel := b.leaseWithin(ctx)
	defer cancel()
	return b.o.Store.Leases(ctx, f.canonical())
}

// RemoveLeases marks the leases that f picks for deletion, for the operator that by names, and returns how
// many there were: all brokers drop their copies with their next look at the database.
func (b *Broker) RemoveLeases(ctx context.Context, by string, f LeaseFilter) (int, error) {
	f = f.canonical()
	row := b.operatorRow(ctx, LogCluster, by)
	row.Duration = sinceArrival(time.Now())
	row.Reason = []string{fmt.Sprintf("%s has removed %s", by, f)}
	ctx, cancel := b.leaseWithin(ctx)
	defer cancel()
	return b.o.Store.RemoveLeases(ctx, f, row)
}

// canonical writes the user as leases have him.
func (f LeaseFilter) canonical() LeaseFilter {
	f.User = canonicalUser(f.User)
	return f
}

// Narrow says whether f picks some leases only, and not all of the cluster.
func (f LeaseFilter) Narrow() bool {
	return f.Kind != "" || f.Directory != "" || f.User != "" || f.Desktop != "" || f.Client != ""
}

// String says which leases f picks, as a log row tells it.
func (f LeaseFilter) String() string {
	if !f.Narrow() {
		return "all leases"
	}
	var parts []string
	for _, p := range []struct{ name, value string }{
		{"kind", f.Kind}, {"directory", f.Directory}, {"user", f.User}, {"desktop", f.Desktop}, {"client", f.Client},
	} {
		if p.value != "" {
			parts = append(parts, fmt.Sprintf("%s %q", p.name, clip(p.value)))
		}
	}
	return "the leases of " + strings.Join(parts, ", ")
}

// LeaseSettings lists the [leases] settings that this broker goes by now.
func (b *Broker) LeaseSettings() []LeaseSetting {
	t := b.table.Load()
	return t.setup.Leases.settings(t.version)
}

// SetLeases changes settings of [leases] in the cluster's setup and leaves the rest of it as it is, as Apply
// does: they count for the next connect at this broker, and within a second or two at all others (LS7).
func (b *Broker) SetLeases(ctx context.Context, c LeaseChange, who string) ([]Change, error) {
	arrived := time.Now()
	if mode, _ := b.mode(); mode != modeNormal { // the setup at hand may be an older one
		return nil, fmt.Errorf("%w: the setup is changed in the database, and this broker is in mode %s", ErrUnavailable, mode)
	}
	old, version, err := b.o.Store.Setup(ctx)
	if err != nil {
		return nil, err
	}
	if version == 0 {
		return nil, fmt.Errorf("%w: the database holds no setup yet; apply one first", ErrNotFound)
	}
	s := old
	s.Leases = c.apply(s.Leases)
	if err := b.usable(s); err != nil {
		return nil, err
	}
	changes := diff(old, s)
	if len(changes) == 0 {
		return nil, nil
	}
	return changes, b.replace(ctx, s, version, who, changes, arrived)
}
