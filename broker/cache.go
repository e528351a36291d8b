package broker

import "context"

// CacheVersion says what a host cache was copied from. Two that are equal hold the same, but for their
// state. The zero value is none: no database has it.
type CacheVersion struct {
	Setup int64 // version of the setup
	// Inventory rises with every change of what a host cache holds, except its state. Logins, connects
	// and heartbeats leave it as it is.
	Inventory int64
	// Stamp is drawn anew with every change: of two databases that went on from one backup, each has
	// its own.
	Stamp int64
}

// CacheSource is the part of a Store that the host cache is copied from.
type CacheSource interface {
	// CacheVersion is the cheap question whether there is anything to copy.
	CacheVersion(ctx context.Context) (CacheVersion, error)
	// CopyCache hands over all rows of CacheTables as one consistent view, and says of which version
	// it is. It locks nobody out. It may take longer than other calls: the deadline of ctx, or a few
	// minutes, bound it. An error of the sink ends it and is returned as it is.
	CopyCache(ctx context.Context, to CacheSink) (CacheVersion, error)
	// CopyState is CopyCache for the tables that change all the time.
	CopyState(ctx context.Context, to CacheSink) error
}

// CacheSink takes a copy.
type CacheSink interface {
	// Begin starts a copy. What came before is forgotten: a source whose connection broke begins again.
	Begin() error
	// Row takes a row: the values of the table's columns, each nil, an int64, a float64, a string or a
	// []byte. They are the caller's again when it returns.
	Row(t *CacheTable, values []any) error
}

// CacheTable is one table of a host cache. Names, types and units are those of the embedded store:
// times are milliseconds since 1970, ids are texts.
type CacheTable struct {
	Name    string
	Columns []string
	Key     int  // so many columns, from the first, tell its rows apart
	State   bool // it changes all the time
}

// CacheTables lists the tables in the order in which they are copied: whoever refers to another row
// comes after it. Only rows that count are copied: nothing deleted, of the sessions those that run or
// hold a desktop, no block that is over.
func CacheTables() []CacheTable {
	return []CacheTable{
		{Name: "cluster", Key: 1, Columns: []string{"id", "name", "secret", "created_at", "version", "ticket_key"}},
		{Name: "setup", Key: 1, Columns: []string{"id", "version", "document", "changed_at"}},
		{Name: "desktop_pool", Key: 1, Columns: []string{"id", "name", "kind", "check_kind", "position", "members", "release_ms", "backup_id"}},
		{Name: "desktop", Key: 1, Columns: []string{
			"id", "name", "center", "external_id", "given_pool", "pool_id", "host", "ip", "port", "protocol", "os", "ou", "description", "tags", "state",
			"source_state", "state_why", "position", "running", "released_at", "missing_since", "mac", "reset_state", "reset_id", "reset_at", "reset_until",
		}},
		{Name: "assignment", Key: 1, Columns: []string{"desktop_id", "directory", "user", "position", "source"}},
		{Name: "agent", Key: 1, Columns: []string{"desktop_id", "key_hash", "enrolled_at", "seen_at", "address", "version", "load", "sessions", "session_count"}},
		{Name: "last_use", Key: 3, Columns: []string{"directory", "user", "pool_id", "desktop_id"}},
		{Name: "broker", Key: 1, State: true, Columns: []string{
			"site_id", "name", "datacenter", "version", "epoch", "booted_at", "heartbeat_at", "stopped_at", "uuid", "ip", "mac", "fingerprint", "report",
			"reported_at", "removed_at", "host", "cpus", "load_average", "busy", "steal", "clock_off_ms", "carries",
		}},
		{Name: "center", Key: 1, State: true, Columns: []string{"name", "scanned_at", "result", "failed_at", "error", "waiting", "confirmed"}},
		{Name: "limit_block", Key: 3, State: true, Columns: []string{"kind", "user", "source", "level", "site_id", "since", "until", "except_for", "changed_at"}},
		{Name: "session", Key: 1, State: true, Columns: []string{
			"id", "token_hash", "directory", "user", "site_id", "client_addr", "client_name", "grants", "created_at", "expires_at", "ended_at", "idle_ms", "ends_at",
		}},
		{Name: "claim", Key: 1, State: true, Columns: []string{
			"desktop_id", "pool_id", "slot", "directory", "user", "session_id", "claimed_at", "release_at", "used_at", "unseen_since",
		}},
	}
}
