package lb

import (
	"time"

	"switchpoint/lb/choice"
	"switchpoint/lb/nodes"
)

// Defaults of LB2-LB4.
const (
	DefaultMethod          = choice.LeastResponseTimeName
	DefaultConnectTimeout  = time.Second
	DefaultResponseTimeout = 130 * time.Second // a login may be buffered for 120 s (LG1)
)

// Defaults of LB1.
const (
	DefaultRequestID      = "X-Request-Id"
	DefaultHeaderLimit    = 16 << 10
	DefaultRedirectPort   = 443
	DefaultRedirectStatus = 308
)

// Config is the [lb] section: which broker a request gets.
type Config struct {
	Listeners []Listener `toml:"listener"`
	Pools     []Pool     `toml:"pool"`
	// StopDelay is how long the process goes on taking connections after it was told to stop and
	// /readyz says no: until whatever sends clients here has noticed. Default 0s, at most 1m.
	StopDelay time.Duration `toml:"stop_delay"`
	// Nodes are the other lb nodes of this datacenter, which know what this one knows (LB9).
	Nodes nodes.Config `toml:"nodes"`
}

// Listener is a [[lb.listener]]. Its name, its address and whether it speaks TLS are fixed while
// the process runs; all the rest may change with a reload.
type Listener struct {
	Name   string `toml:"name"`
	Listen string `toml:"listen"` // ip:port
	// Mode is "http" (default), or "tcp" for any other protocol: connections are carried to a
	// member as they are. Where cert and key are given, TLS ends here. Fixed while the process runs.
	Mode string `toml:"mode"`
	Pool string `toml:"pool"` // for what no route takes, and for is_alive probes without a Host
	Cert string `toml:"cert"` // PEM file; with Key it makes the listener HTTPS
	Key  string `toml:"key"`
	// Certificates are more pairs, chosen by the name that a client asks for (SNI). Cert and Key
	// serve clients that ask for none of their names.
	Certificates []Certificate `toml:"certificate"`
	// TicketSecret is "file:PATH" or "env:NAME": session tickets of all nodes with the same secret
	// are good at each of them. Without it every node has its own keys. Both rotate.
	TicketSecret string `toml:"ticket_secret"`
	// LegacyProbe answers is_alive probes without a version or Host line (AL4). Default true.
	LegacyProbe *bool `toml:"legacy_probe"`
	// TrustedProxies lists prefixes whose word on who the client is counts: X-Forwarded-*,
	// Forwarded, the request id, the PROXY protocol.
	TrustedProxies []string `toml:"trusted_proxies"`
	// ProxyProtocol is "v1", "v2" or "any": connections begin with such a header and come from
	// TrustedProxies, all others are closed. Empty: off.
	ProxyProtocol string `toml:"proxy_protocol"`
	// Forwarded adds the Forwarded field (RFC 7239) beside X-Forwarded-For, -Proto and -Host.
	Forwarded bool `toml:"forwarded"`
	// RequestID names the field that carries a request's id to the member and into the log.
	// A trusted proxy's id is kept. Default X-Request-Id; "none" turns it off.
	RequestID       string `toml:"request_id"`
	RequestIDAnswer bool   `toml:"request_id_answer"` // give the id to the client as well
	// HeaderLimit bounds a request's head in bytes, 4096 to 65536. Default 16384.
	HeaderLimit int `toml:"header_limit"`
	// RedirectHTTPS answers every request but is_alive probes with the same address under https.
	RedirectHTTPS  bool `toml:"redirect_https"`
	RedirectPort   int  `toml:"redirect_port"`   // of the https address; default 443
	RedirectStatus int  `toml:"redirect_status"` // 308 (default), 307, 302 or 301
	// Routes send requests to other pools. The most specific one counts, whatever the order:
	// first by host (exact, then the longest "*.suffix", then any), then by the longest path.
	Routes []Route `toml:"route"`
	// AccessLog is a file that gets a JSON line for one of AccessLogSample requests (default 1),
	// and for each that was refused or answered with 500 or above. It may be rotated at any time.
	AccessLog       string `toml:"access_log"`
	AccessLogSample int    `toml:"access_log_sample"`
	// IdleTimeout ends a connection of a tcp listener on which nothing moves. Default 1h.
	IdleTimeout time.Duration `toml:"idle_timeout"`
}

// Certificate is a [[lb.listener.certificate]]: PEM files of a chain and its key.
type Certificate struct {
	Cert string `toml:"cert"`
	Key  string `toml:"key"`
}

// Route is a [[lb.listener.route]]: what happens to the requests for a host and below a path. It
// has either a Pool or a Redirect. In tcp mode it has Host and Pool: the host is the name that a
// client asks for in TLS (SNI), which is read without ending the TLS.
type Route struct {
	Host string `toml:"host"` // "cb.company.com" or "*.company.com" (any depth); empty: any
	// Path is a prefix that ends where a segment ends: "/api" is /api and /api/x, not /apix. It
	// is compared with the path as it was sent, undecoded. Empty: any.
	Path string `toml:"path"`
	Pool string `toml:"pool"`
	// Redirect is an http or https address. Without a path, the request's path and query are
	// added to it.
	Redirect       string `toml:"redirect"`
	RedirectStatus int    `toml:"redirect_status"` // as that of the listener
}

// Pool is a [[lb.pool]]: the members of a listener.
type Pool struct {
	Name string `toml:"name"`
	// Method is "least-response-time" (default), "netscaler-least-response-time",
	// "least-connections", "fastest-node", "round-robin" or "hash" (of the client's address). All
	// go by the members' weights.
	Method string `toml:"lb_method"`
	// Classes are up to three kinds of requests whose latency is averaged apart; the first one that
	// fits a request counts. Default: "login", POST below /api/v1/login. An empty list: none.
	Classes []Class `toml:"class"`
	Monitor string  `toml:"monitor"` // name of a [[monitor]]; empty: members count as up
	// Persistence is how clients are known again: "source-address", "cookie" (which the balancer
	// adds), "session" (the broker's session token, without one the source address) or "none".
	// Default: "session" where the monitor asks for is_alive, else "source-address".
	Persistence        string        `toml:"persistence"`
	PersistenceTimeout time.Duration `toml:"persistence_timeout"` // sliding; default 300s
	// PersistenceMask and PersistencePrefixV6 are the bits of an IPv4 or IPv6 address that tell
	// clients apart. Default 32 and 64.
	PersistenceMask     int `toml:"persistence_mask"`
	PersistencePrefixV6 int `toml:"persistence_prefix_v6"`
	// Cookie names the cookie; default SPLB. PersistenceSecret is "file:PATH" or "env:NAME": cookies
	// of all nodes with the same secret are good at each of them. Without it the node makes one.
	Cookie            string `toml:"cookie"`
	PersistenceSecret string `toml:"persistence_secret"`
	// SpreadAbove is for "session": a source address that brings so many times its fair share of
	// the pool's clients has no member of its own. Default 2; 0: none is spread.
	SpreadAbove *int `toml:"spread_above"`

	ConnectTimeout  time.Duration `toml:"connect_timeout"`  // default 1s
	ResponseTimeout time.Duration `toml:"response_timeout"` // to the first byte; default 130s
	TLS             bool          `toml:"tls"`              // speak HTTPS to the members
	CA              string        `toml:"ca"`               // PEM roots for it; default the system's
	ServerName      string        `toml:"server_name"`      // name to verify; default the member's host
	NoVerify        bool          `toml:"no_verify"`
	// SendProxy is "v1" or "v2": connections to the members begin with this header of the PROXY
	// protocol and belong to one client connection each. Empty: off.
	SendProxy string `toml:"send_proxy"`
	// OnDown says what becomes of the connections of tcp listeners to a member that goes down:
	// "keep" (default) or "close".
	OnDown string `toml:"on_down"`
	// SlowStart is how long the share of a member grows, from a tenth to all, after it came back
	// or was added while the pool was in use. Default 30s.
	SlowStart time.Duration `toml:"slow_start"`
	// MinActive: while fewer members of the highest priorities than this can be used, those of
	// the next one serve too. Default 1.
	MinActive int `toml:"min_active"`
	// PanicThreshold is a share of the serving members in percent: where connects to so many
	// failed lately that less than it is left, failed connects are not minded any more. Left out:
	// not before they have failed for all.
	PanicThreshold int `toml:"panic_threshold"`
	// Queue is how many requests may wait for a place when all members are full, QueueTimeout how
	// long each may. Defaults 1000 and 10s.
	Queue        int           `toml:"queue"`
	QueueTimeout time.Duration `toml:"queue_timeout"`
	// BackupPool is the pool that serves while no member of this one can.
	BackupPool string   `toml:"backup_pool"`
	Members    []Member `toml:"members"`
}

// Member is one upstream.
type Member struct {
	Name    string `toml:"name"`    // default Address
	Address string `toml:"address"` // ip:port
	Weight  int    `toml:"weight"`  // default 1
	// Priority is the member's group: the highest one serves, see MinActive. Left out: the lowest.
	Priority int `toml:"priority"`
	// MaxInFlight is how many requests, or connections of tcp listeners, the member may have at
	// once. Left out: any number.
	MaxInFlight int `toml:"max_in_flight"`
}
