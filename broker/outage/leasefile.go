package outage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"switchpoint/broker"
	"switchpoint/broker/sqlite"
)

// leaseFile is what calls are served from in mode leased. It is made anew each time, out of node.db, and
// holds nothing that is not there.
const leaseFile = "leases.db"

var errNoMember = errors.New("this broker has not joined its cluster yet")

// openLeases makes the file that calls are served from where there is no host cache: the cluster, the
// setup and its pools. Users and their desktops come with their leases, as they sign in.
func (s *Store) openLeases(ctx context.Context) (*local, error) {
	if why := s.o.Config.Leasing(); why != "" {
		return nil, errors.New(why)
	}
	if ok, why := s.leases.ready(); !ok {
		return nil, errors.New(why)
	}
	var m member
	found, err := s.node.kept(ctx, keptMember, &m)
	if err == nil && !found {
		err = errNoMember
	}
	if err != nil {
		return nil, err
	}
	var blocks copiedBlocks
	if _, err := s.node.kept(ctx, keptBlocks, &blocks); err != nil {
		return nil, err
	}
	s.leases.mu.Lock()
	base := leaseBase{member: m, setup: *s.leases.setup, synced: s.leases.state.Synced, blocks: blocks}
	s.leases.mu.Unlock()
	path := filepath.Join(s.o.Dir, leaseFile)
	if err := sqlite.RemoveCache(path); err != nil {
		return nil, fmt.Errorf("remove the leases of an earlier outage: %w", err)
	}
	if _, err := sqlite.BuildCache(ctx, path, base, time.Now(), nil); err != nil {
		return nil, errors.Join(err, sqlite.RemoveCache(path))
	}
	cache, err := sqlite.Open(ctx, path, sqlite.Options{Log: s.log, Replaceable: true})
	if err != nil {
		return nil, errors.Join(err, sqlite.RemoveCache(path))
	}
	life := base.setup.Setup.Leases.WithDefaults().Life
	l := &local{cache: cache, node: s.node, copied: base.synced}
	l.told = s.toldBy(ctx, s.cache.Status().Current) // the leases say nothing about sessions
	l.leases = &leaseBook{node: s.node, cache: cache, only: true, synced: base.synced, life: life, broken: s.isBroken}
	l.end = func() error { return errors.Join(cache.Close(), sqlite.RemoveCache(path)) }
	if err := s.replay(ctx, l); err != nil {
		return nil, errors.Join(err, l.end())
	}
	s.log.Warn("outage: logins can be served from leases", "age", time.Since(base.synced).Round(time.Second), "setup", base.setup.Version, "event_id", eventServing)
	return l, nil
}

// leaseBase is the broker.CacheSource of a file without desktops.
type leaseBase struct {
	member member
	setup  keptVersion
	synced time.Time
	blocks copiedBlocks
}

// CacheVersion implements broker.CacheSource.
func (b leaseBase) CacheVersion(context.Context) (broker.CacheVersion, error) {
	return broker.CacheVersion{Setup: b.setup.Version, Stamp: b.synced.UnixMilli()}, nil
}

// CopyState implements broker.CacheSource: there is none.
func (b leaseBase) CopyState(_ context.Context, to broker.CacheSink) error { return to.Begin() }

// CopyCache implements broker.CacheSource.
func (b leaseBase) CopyCache(ctx context.Context, to broker.CacheSink) (broker.CacheVersion, error) {
	v, _ := b.CacheVersion(ctx) // it cannot fail
	if err := to.Begin(); err != nil {
		return v, err
	}
	rows, err := b.rows()
	if err != nil {
		return v, err
	}
	for _, t := range broker.CacheTables() {
		for _, row := range rows[t.Name] {
			values := make([]any, len(t.Columns))
			for i, column := range t.Columns {
				values[i] = row[column]
			}
			if err := to.Row(&t, values); err != nil {
				return v, err
			}
		}
	}
	return v, nil
}

// rows are those of the tables, by column; what is not there has no value.
func (b leaseBase) rows() (map[string][]map[string]any, error) {
	s := b.setup.Setup
	pools := s.DesktopPools
	s.DesktopPools, s.Desktops, s.Assignments = nil, nil, nil // tables have them
	document, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("write the setup: %w", err)
	}
	at := b.synced.UnixMilli()
	cluster := map[string]any{
		"id": int64(1), "name": b.member.Membership.Cluster.Name, "secret": b.member.Membership.Cluster.Secret[:], "created_at": at,
		"version": b.member.Node.Version,
	}
	if key := b.member.Membership.Cluster.TicketKey; key != [32]byte{} {
		cluster["ticket_key"] = key[:]
	}
	out := map[string][]map[string]any{
		"cluster":     {cluster},
		"setup":       {{"id": int64(1), "version": b.setup.Version, "document": string(document), "changed_at": at}},
		"limit_block": b.blocks.rows(),
	}
	ids := make(map[string]string, len(pools))
	for _, p := range pools {
		ids[p.Name] = uuid.Must(uuid.NewV7()).String()
	}
	for i, p := range pools {
		members, err := json.Marshal(poolMembers{p.Rules, p.Desktops, p.Power})
		if err != nil {
			return nil, fmt.Errorf("write pool %s: %w", p.Name, err)
		}
		row := map[string]any{
			"id": ids[p.Name], "name": p.Name, "kind": p.Kind, "check_kind": p.Check, "position": int64(i),
			"members": string(members), "release_ms": p.ReleaseDelay.Milliseconds(),
		}
		if id, ok := ids[p.Backup]; ok {
			row["backup_id"] = id
		}
		out["desktop_pool"] = append(out["desktop_pool"], row)
	}
	return out, nil
}

// poolMembers is the column members of a pool.
type poolMembers struct {
	Rules    []broker.PoolRule `json:"rules,omitempty"`
	Desktops []string          `json:"desktops,omitempty"`
	Power    string            `json:"power,omitempty"`
}
