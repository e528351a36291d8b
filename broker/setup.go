package broker

import "time"

// DesktopPool is a [[desktop_pool]]: interchangeable desktops (BR2). A desktop stands in one pool:
// the one that its [[desktop]] entry names, else the first pool in the order of the file that lists
// it or whose rules all apply (Placement).
type DesktopPool struct {
	Name string `toml:"name"`
	// Kind is "assigned" (a desktop belongs to its user) or "pooled" (released at logout).
	Kind string `toml:"kind"`
	// Check is what happens before a user is sent to a desktop of the pool (BR3): "dial"
	// (default) tries its port for 500 ms, "none" trusts the inventory.
	Check string `toml:"check"`
	// Rules take desktops by their attributes; all of them must apply. Desktops takes them by name.
	Rules    []PoolRule `toml:"rule"`
	Desktops []string   `toml:"desktops"`
	// ReleaseDelay is how long a pooled desktop stays its user's after logout; default 0s.
	ReleaseDelay time.Duration `toml:"release_delay"`
	// Backup is the pooled pool whose desktops are used when this one has none that is free.
	Backup string `toml:"backup"`
	// Power is the [[power]] action that starts desktops of the pool which are off.
	Power string `toml:"power"`
}

// PoolRule is a [[desktop_pool.rule]].
type PoolRule struct {
	Attribute string `toml:"attribute"` // one of PoolAttributes
	Match     string `toml:"match"`     // one of poolMatches, or its short form
	Value     string `toml:"value"`
}

// Desktop is a [[desktop]] of the static inventory (BR1).
type Desktop struct {
	Name     string `toml:"name"`
	Pool     string `toml:"pool"`     // empty: as the pools' rules and lists say
	Host     string `toml:"host"`     // name or address that the client dials
	Port     int    `toml:"port"`     // default by protocol
	Protocol string `toml:"protocol"` // "rdp" (default), "ssh", "vnc", "pcoip", "ica" or a [[protocol]]
	// State is "" or "enabled", or "maintenance".
	State       string   `toml:"state"`
	OS          string   `toml:"os"` // for rules, as Description and Tags
	Description string   `toml:"description"`
	Tags        []string `toml:"tags"`
	MAC         string   `toml:"mac"` // for Wake-on-LAN
}

// Policy is a [[policy]]: what its users may be offered (BR2). The first policy that matches
// a user and the place where he sits counts; one without Attribute and Locations matches everybody.
type Policy struct {
	Name      string `toml:"name"`
	Attribute string `toml:"attribute"` // directory attribute, e.g. "memberOf"
	Match     string `toml:"match"`     // as redirect.Config.Match
	Value     string `toml:"value"`
	// Locations are address prefixes of clients; empty: any.
	Locations []string `toml:"locations"`
	// Pools are the pooled desktop pools that offer a desktop. Desktops assigned to the user
	// are always offered, whatever the policy says.
	Pools     []string `toml:"desktop_pools"`
	MaxOffers int      `toml:"max_offers"` // per pool; default 1, at most 64
	// Order is which free desktop of a pool a user gets: one of offerOrders; default OrderPrevious.
	Order string `toml:"offer_order"`
	// Protocol replaces that of the desktops of Pools; empty: each desktop's own.
	Protocol string `toml:"protocol"`
	// MaxSessions bounds the pooled desktops that a user holds at once, of all pools; 0: no bound.
	MaxSessions int `toml:"max_sessions"`
	// SessionExpiry is after how long without use its users are signed out: "never" or one of
	// ExpiryChoices; empty: the [broker] section's.
	SessionExpiry string `toml:"session_expiry"`
}

// Protocol is a [[protocol]]: a viewer that is not built in.
type Protocol struct {
	Name string `toml:"name"`
	Port int    `toml:"port"` // default port of its desktops
	// Template is the file that the client opens. {host}, {port}, {user} and {desktop} are
	// replaced, {{ and }} stand for braces. There is no placeholder for a password.
	Template string `toml:"template"`
	File     string `toml:"file"` // extension of the file, e.g. "nxs"
	MIME     string `toml:"mime"` // default "application/octet-stream"
}

// Assignment is an [[assignment]]: a user's own desktop.
type Assignment struct {
	User      string `toml:"user"`      // as the directory's canonical user name, lower case
	Directory string `toml:"directory"` // default the first directory; "local" for local users
	Desktop   string `toml:"desktop"`
}

// LocalUser is a [[user]] of the embedded default, for brokers without a directory (LD3).
type LocalUser struct {
	Name string `toml:"name"`
	// Password is an argon2id hash in PHC form, as `switchpoint hash-password` prints it, or one of bcrypt
	// ($2a$, $2b$) of another system.
	Password string `toml:"password"`
}
