package broker

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

// States of a desktop.
const (
	DesktopEnabled     = "enabled"
	DesktopMaintenance = "maintenance" // nobody is connected to it anew
	DesktopDisabled    = "disabled"    // by its center: nobody sees it
)

// maxDesktopsListed bounds one list.
const maxDesktopsListed = 1000

// DesktopFilter selects desktops; zero fields select all.
type DesktopFilter struct {
	Name, Pool, Center, State string
	After                     string // go on behind the desktop with that name
	Limit                     int    // default 100, at most 1000
}

// Check fills in the default and refuses what no list can be made of.
func (f DesktopFilter) Check() (DesktopFilter, error) {
	f.Limit = cmp.Or(f.Limit, 100)
	if f.Limit < 1 || f.Limit > maxDesktopsListed {
		return f, fmt.Errorf("a list of %d desktops is not possible; ask for 1 to %d", f.Limit, maxDesktopsListed)
	}
	switch f.State {
	case "", DesktopEnabled, DesktopMaintenance, DesktopDisabled:
		return f, nil
	}
	return f, fmt.Errorf("a desktop is %s, %s or %s, not %q", DesktopEnabled, DesktopMaintenance, DesktopDisabled, f.State)
}

// DesktopStatus is a desktop as an operator sees it.
type DesktopStatus struct {
	Name     string
	Pool     string // "": it stands in none
	Center   string // "": it is of the setup
	Host     string
	Port     int
	Protocol string
	State    string
	Why      string    // of a maintenance that an operator has begun: who and why
	Vanished time.Time // its center does not list it any more; zero: it does
	Reset    string    // "awaited" or "quarantined": out of use until it is reset
	User     Who       // who works on it, or whose own it is; zero: nobody
}

// Desktops lists desktops by name.
func (b *Broker) Desktops(ctx context.Context, f DesktopFilter) ([]DesktopStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, inventoryBound)
	defer cancel()
	return b.o.Store.Desktops(ctx, f)
}

// BeginMaintenance takes a center's desktop out of use for the operator that by names. Whoever works on
// it goes on; nobody is connected to it anew.
func (b *Broker) BeginMaintenance(ctx context.Context, desktop, why, by string) error {
	text := by
	if why = clip(why); why != "" {
		text += ": " + why
	}
	return b.setMaintenance(ctx, desktop, true, text, by, " has put the desktop into maintenance: "+cmp.Or(why, "no reason given"))
}

// EndMaintenance gives a desktop back to what its center says.
func (b *Broker) EndMaintenance(ctx context.Context, desktop, by string) error {
	return b.setMaintenance(ctx, desktop, false, "", by, " has ended the desktop's maintenance")
}

func (b *Broker) setMaintenance(ctx context.Context, desktop string, on bool, why, by, did string) error {
	row := b.operatorRow(ctx, LogSetup, by)
	row.Duration = sinceArrival(time.Now())
	row.Desktop, row.Reason = clip(desktop), []string{by + did}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return b.o.Store.SetMaintenance(ctx, desktop, on, why, row)
}

// MaintenanceFacts are what a word about a desktop's maintenance depends on.
type MaintenanceFacts struct {
	Center string // "": the setup has it
	State  string
}

// Check refuses what SetMaintenance refuses.
func (f MaintenanceFacts) Check(desktop string, on bool) error {
	switch {
	case f.Center == "":
		return fmt.Errorf("%w: desktop %q stands in the setup; change its state there", ErrConflict, desktop)
	case !on && f.State != DesktopMaintenance:
		return fmt.Errorf("%w: desktop %q is not in maintenance, it is %s", ErrConflict, desktop, f.State)
	}
	return nil
}

// PoolUse is how a desktop pool is used, out of its statistics.
type PoolUse struct {
	Now  PoolStatistics // the newest
	Most int            // desktops that were used at once in the time asked for
	At   time.Time      // when that was first so
}

// PoolUses sums the statistics of the last time up, by pool.
func (b *Broker) PoolUses(ctx context.Context, since time.Duration) ([]PoolUse, error) {
	ctx, cancel := context.WithTimeout(ctx, inventoryBound)
	defer cancel()
	rows, err := b.o.Store.PoolStatistics(ctx, "", since)
	if err != nil {
		return nil, err
	}
	return poolUses(rows), nil
}

// poolUses takes rows by time; pools come in the order of the newest ones. One that is gone has none.
func poolUses(rows []PoolStatistics) []PoolUse {
	if len(rows) == 0 {
		return nil
	}
	newest := rows[len(rows)-1].At
	most := make(map[string]PoolStatistics)
	var out []PoolUse
	for _, r := range rows {
		if m, known := most[r.Pool]; !known || r.Used > m.Used {
			most[r.Pool] = r
		}
		if r.At.Equal(newest) {
			out = append(out, PoolUse{Now: r})
		}
	}
	for i, u := range out {
		out[i].Most, out[i].At = most[u.Now.Pool].Used, most[u.Now.Pool].At
	}
	return out
}
