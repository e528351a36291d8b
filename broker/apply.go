package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Change is one line of the difference between two setups.
type Change struct {
	What  string `json:"what"`  // "add", "change", "remove", "order"
	Thing string `json:"thing"` // "directory", "destination", "desktop_pool", ...
	Name  string `json:"name"`
	// Fields names what a change touches. Values are not shown: some are secrets.
	Fields []string `json:"fields,omitempty"`
}

// String reads as a sentence.
func (c Change) String() string {
	s := c.What + " " + c.Thing
	if c.Name != "" {
		s += " " + c.Name
	}
	if len(c.Fields) > 0 {
		s += ": " + strings.Join(c.Fields, ", ")
	}
	return s
}

// Apply brings the cluster's setup to s and returns what that changes. With dryRun nothing is
// written. An invalid setup is a problem.List; ErrConflict means that somebody else changed the
// setup meanwhile. who is the admin, for the log.
func (b *Broker) Apply(ctx context.Context, s Setup, dryRun bool, who string) ([]Change, error) {
	arrived := time.Now()
	if err := b.usable(s); err != nil {
		return nil, err
	}
	s = s.WithDefaults()
	old, version, err := b.o.Store.Setup(ctx)
	if err != nil {
		return nil, err
	}
	changes := diff(old, s)
	if dryRun || len(changes) == 0 && version > 0 {
		return changes, nil
	}
	return changes, b.replace(ctx, s, version, who, changes, arrived)
}

// Setup is what the cluster's database holds, with its version.
func (b *Broker) Setup(ctx context.Context) (Setup, int64, error) { return b.o.Store.Setup(ctx) }

// Seed fills an empty database with s. It says false when the database has a setup already,
// which then counts.
func (b *Broker) Seed(ctx context.Context, s Setup) (bool, error) {
	if b.table.Load().version > 0 {
		return false, nil
	}
	if err := b.usable(s); err != nil {
		return false, err
	}
	err := b.replace(ctx, s.WithDefaults(), 0, "seed", nil, time.Now())
	if errors.Is(err, ErrConflict) { // another broker of the cluster was first
		return false, b.loadSetup(ctx)
	}
	return err == nil, err
}

// usable refuses a setup that this broker could not serve with, before anything is written: a
// stored one would keep every broker from starting. Its error is a problem.List, or says which
// secret cannot be read.
func (b *Broker) usable(s Setup) error {
	if err := s.Validate(b.o.Monitors, b.cfg.Cluster); err != nil {
		return err
	}
	_, err := b.compile(s, b.table.Load())
	return err
}

func (b *Broker) replace(ctx context.Context, s Setup, version int64, who string, changes []Change, arrived time.Time) error {
	row := b.operatorRow(ctx, LogSetup, who)
	row.Reason = []string{fmt.Sprintf("setup version %d", version+1)}
	const shown = 100
	for _, c := range changes[:min(len(changes), shown)] {
		row.Reason = append(row.Reason, c.String())
	}
	row.Duration = sinceArrival(arrived)
	if _, err := b.o.Store.ReplaceSetup(ctx, s, version, row); err != nil {
		return err
	}
	if err := b.loadSetup(ctx); err != nil {
		return fmt.Errorf("setup version %d is stored, but this broker has not loaded it yet: %w", version+1, err)
	}
	select {
	case b.reload <- struct{}{}: // Run starts the clients of new directories
	default:
	}
	return nil
}

// diff lists what changes from a to b, by name.
func diff(a, b Setup) []Change {
	var out []Change
	for _, part := range []struct {
		thing    string
		from, to any
		key      string // the field that names an item
	}{
		{"directory", a.Directories, b.Directories, "name"},
		{"destination", a.Destinations, b.Destinations, "name"},
		{"protocol", a.Protocols, b.Protocols, "name"},
		{"power", a.Powers, b.Powers, "name"},
		{"center", a.Centers, b.Centers, "name"},
		{"desktop_pool", a.DesktopPools, b.DesktopPools, "name"},
		{"desktop", a.Desktops, b.Desktops, "name"},
		{"policy", a.Policies, b.Policies, "name"},
		{"assignment", a.Assignments, b.Assignments, "desktop"},
		{"user", a.Users, b.Users, "name"},
		{"limits", []Limits{a.Limits}, []Limits{b.Limits}, ""}, // one, without a name
		{"leases", []Leases{a.Leases}, []Leases{b.Leases}, ""}, // the same
	} {
		out = append(out, diffList(part.thing, part.from, part.to, part.key)...)
	}
	return out
}

func diffList(thing string, from, to any, key string) []Change {
	old, oldOrder := items(from, key)
	cur, curOrder := items(to, key)
	var out []Change
	for _, name := range oldOrder {
		if _, ok := cur[name]; !ok {
			out = append(out, Change{What: "remove", Thing: thing, Name: name})
		}
	}
	for _, name := range curOrder {
		before, ok := old[name]
		if !ok {
			out = append(out, Change{What: "add", Thing: thing, Name: name})
			continue
		}
		if changed := changedFields(before, cur[name]); len(changed) > 0 {
			out = append(out, Change{What: "change", Thing: thing, Name: name, Fields: changed})
		}
	}
	if len(out) == 0 && !slices.Equal(oldOrder, curOrder) { // the first policy and directory count
		out = append(out, Change{What: "order", Thing: thing})
	}
	return out
}

// items reads a slice of structs as fields by name, and the order of the names.
func items(list any, key string) (map[string]map[string]any, []string) {
	v := reflect.ValueOf(list)
	byKey := make(map[string]map[string]any, v.Len())
	var order []string
	for i := range v.Len() {
		m := make(map[string]any)
		tomlFields(v.Index(i), m)
		name := ""
		if key != "" {
			name = fmt.Sprint(m[key])
		}
		byKey[name] = m
		order = append(order, name)
	}
	return byKey, order
}

// tomlFields adds the fields of a struct under their names in broker.toml.
func tomlFields(v reflect.Value, into map[string]any) {
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.Anonymous {
			tomlFields(v.Field(i), into)
		} else {
			into[f.Tag.Get("toml")] = v.Field(i).Interface()
		}
	}
}

func changedFields(a, b map[string]any) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(b)) {
		if !reflect.DeepEqual(a[k], b[k]) {
			out = append(out, k)
		}
	}
	return out
}
