package broker

import (
	"time"

	"switchpoint/directory"
	"switchpoint/redirect"
)

// Config is the [broker] section: what the process needs to start. What admins change at run
// time is Setup, which lives in the database.
type Config struct {
	Cluster string   `toml:"cluster"`
	SiteID  int      `toml:"site_id"` // unique in the cluster, 1..65535
	Listen  []string `toml:"listen"`  // ip:port
	Cert    string   `toml:"cert"`    // PEM file; with Key the listeners are HTTPS
	Key     string   `toml:"key"`
	Seed    string   `toml:"seed"` // broker.toml that fills an empty database
	// TrustedProxies lists prefixes whose X-Forwarded-For is believed (LG6).
	TrustedProxies []string `toml:"trusted_proxies"`
	// LimitsExempt lists prefixes of addresses behind which many users sit (NAT): [limits] counts nothing
	// by them, and only their users. The trusted proxies belong to them.
	LimitsExempt []string `toml:"limits_exempt"`
	// IsAlive is "serving" (default: 200 while logins can be served) or "backend" (AL4).
	IsAlive string `toml:"is_alive"`
	// Capacity is how many logins may be in work at once; default 64.
	Capacity int `toml:"capacity"`
	// AnswerWithin is after how long a login that has not ended is answered with the id to ask for
	// its outcome by (LG1), and how long a question for that waits; default 10s.
	AnswerWithin time.Duration `toml:"answer_within"`
	// LoginDeadline is how long after its arrival a login may be answered; one that still waits in
	// the queue by then is refused. Default 120s (LG1).
	LoginDeadline time.Duration `toml:"login_deadline"`
	// SessionLifetime is how long a user stays signed in at most; default 10h.
	SessionLifetime time.Duration `toml:"session_lifetime"`
	// SessionExpiry is after how long without use a user is signed out, where his policy does not
	// say: "never" (default) or one of ExpiryChoices.
	SessionExpiry string `toml:"session_expiry"`
	// LogRetention is how long log rows are kept; default 720h (30 days, PU1).
	LogRetention time.Duration `toml:"log_retention"`
	// DesktopPatience is how long a desktop in use, without an agent, may not answer until its user
	// loses it: a reboot must not cost him his desktop. Default 10m.
	DesktopPatience time.Duration `toml:"desktop_patience"`
	Database        Database      `toml:"database"`
	Outage          Outage        `toml:"outage"`
}

// Setup is what broker.toml says and the database holds: it reaches every broker of the cluster.
type Setup struct {
	Directories  []Directory            `toml:"directory"`
	Destinations []redirect.Destination `toml:"destination"`
	Protocols    []Protocol             `toml:"protocol"`
	Powers       []Power                `toml:"power"`
	Centers      []Center               `toml:"center"`
	DesktopPools []DesktopPool          `toml:"desktop_pool"`
	Desktops     []Desktop              `toml:"desktop"`
	Policies     []Policy               `toml:"policy"`
	Assignments  []Assignment           `toml:"assignment"`
	Users        []LocalUser            `toml:"user"`
	Limits       Limits                 `toml:"limits" json:",omitzero"`
	Leases       Leases                 `toml:"leases" json:",omitzero"`
}

// Directory is a directory with the redirect rules that stand on it (RD1).
type Directory struct {
	directory.Config
	Redirect *redirect.Config `toml:"redirect"`
}
