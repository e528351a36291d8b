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
	// IsAlive is "serving" (default: 200 while logins can be served) or "backend" (AL4).
	IsAlive string `toml:"is_alive"`
	// Capacity is how many logins may be in work at once; default 64.
	Capacity int `toml:"capacity"`
	// LoginWait is how long a login may wait for a free place before it is refused as busy;
	// default 2s.
	LoginWait time.Duration `toml:"login_wait"`
	// SessionLifetime is how long a user stays signed in at most; default 10h.
	SessionLifetime time.Duration `toml:"session_lifetime"`
	// SessionExpiry is after how long without use a user is signed out, where his policy does not
	// say: "never" (default) or one of ExpiryChoices.
	SessionExpiry string `toml:"session_expiry"`
	// LogRetention is how long log rows are kept; default 720h (30 days, PU1).
	LogRetention time.Duration `toml:"log_retention"`
	Database     Database      `toml:"database"`
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
}

// Directory is a directory with the redirect rules that stand on it (RD1).
type Directory struct {
	directory.Config
	Redirect *redirect.Config `toml:"redirect"`
}
