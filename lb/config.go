package lb

import "time"

// Defaults of LB2-LB4.
const (
	DefaultMethod             = "least-response-time"
	DefaultPersistence        = "source-address"
	DefaultPersistenceTimeout = 300 * time.Second
	DefaultConnectTimeout     = time.Second
	DefaultResponseTimeout    = 130 * time.Second // a login may be buffered for 120 s (LG1)
)

// Config is the [lb] section: which broker a request gets.
type Config struct {
	Listeners []Listener `toml:"listener"`
	Pools     []Pool     `toml:"pool"`
}

// Listener is a [[lb.listener]].
type Listener struct {
	Name   string `toml:"name"`
	Listen string `toml:"listen"` // ip:port
	Pool   string `toml:"pool"`
	Cert   string `toml:"cert"` // PEM file; with Key it makes the listener HTTPS
	Key    string `toml:"key"`
	// LegacyProbe answers is_alive probes without a version or Host line (AL4). Default true.
	LegacyProbe *bool `toml:"legacy_probe"`
	// TrustedProxies lists prefixes whose X-Forwarded-For is kept and extended.
	TrustedProxies []string `toml:"trusted_proxies"`
}

// Pool is a [[lb.pool]]: the members of a listener.
type Pool struct {
	Name    string `toml:"name"`
	Method  string `toml:"lb_method"` // "least-response-time" (default) or "round-robin"
	Monitor string `toml:"monitor"`   // name of a [[monitor]]; empty: members count as up
	// Persistence is "source-address" (default) or "none".
	Persistence        string        `toml:"persistence"`
	PersistenceTimeout time.Duration `toml:"persistence_timeout"` // sliding; default 300s
	ConnectTimeout     time.Duration `toml:"connect_timeout"`     // default 1s
	ResponseTimeout    time.Duration `toml:"response_timeout"`    // to the first byte; default 130s
	TLS                bool          `toml:"tls"`                 // speak HTTPS to the members
	CA                 string        `toml:"ca"`                  // PEM roots for it; default the system's
	ServerName         string        `toml:"server_name"`         // name to verify; default the member's host
	NoVerify           bool          `toml:"no_verify"`
	Members            []Member      `toml:"members"`
}

// Member is one upstream.
type Member struct {
	Name    string `toml:"name"`    // default Address
	Address string `toml:"address"` // ip:port
	Weight  int    `toml:"weight"`  // default 1
}
