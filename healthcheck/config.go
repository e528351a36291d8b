package healthcheck

import (
	"time"

	"switchpoint/healthcheck/isalive"
)

// Defaults of HK1.
const (
	DefaultInterval      = 5 * time.Second
	DefaultTimeout       = 2 * time.Second
	DefaultFall          = 3
	DefaultRise          = 2
	DefaultStartDeadline = 10 * time.Second
	DefaultMaxPerHost    = 32
	DefaultFreshEvery    = 10
	DefaultMaxHandshakes = 500
)

// The default question and answer of http(s) monitors (AL1, AL3).
const (
	DefaultSend    = "GET " + isalive.Path + "?" + isalive.Query
	DefaultReceive = isalive.BodyOK
)

// Config is all that one process wants to know the health of.
type Config struct {
	Settings Settings
	Monitors []Monitor
	// Checks are the targets that gtm, lb and broker ask for; equal keys are one check.
	Checks []Key
}

// Settings is the [health] section.
type Settings struct {
	// StartDeadline bounds the first round: after it the process serves with what it knows.
	StartDeadline time.Duration `toml:"start_deadline"`
	// Resolver is host:port of the DNS server for target names; empty means the system's.
	Resolver string `toml:"resolver"`
	// MaxInFlight bounds the probes under way at once; 0 derives it from the descriptor limit.
	MaxInFlight int `toml:"max_in_flight"`
	// AllowExec permits monitors of kind exec, which run programs as the user of the process.
	AllowExec bool `toml:"allow_exec"`
	// MaxPerHost bounds the probes under way at once to one host; default 32.
	MaxPerHost int `toml:"max_per_host"`
	// FreshEvery is how many probes share one connection to an address before a new one is
	// opened, because faults of firewalls and accept queues hide behind old connections;
	// default 10, 1 keeps none.
	FreshEvery int `toml:"fresh_every"`
	// MaxHandshakes bounds the new TLS handshakes per second; default 500. A probe beyond it is
	// put off and counts as nothing.
	MaxHandshakes int `toml:"max_handshakes"`
}

// Monitor is one [[monitor]]: how to ask a target whether it is alive (HK1, HK2).
type Monitor struct {
	Name string `toml:"name"`
	// Kind is "http", "https", "tcp", "tls", "icmp", "dns", "ldap", "postgres", "xmlrpc", "agent"
	// or "exec". Keys that a kind has no use for are refused.
	Kind     string        `toml:"kind"`
	Interval time.Duration `toml:"interval"` // default 5s
	Timeout  time.Duration `toml:"timeout"`  // default 2s, must be below interval
	Fall     int           `toml:"fall"`     // failures in a row until down; default 3
	Rise     int           `toml:"rise"`     // successes in a row until up; default 2

	// Send is the raw request (ECV). A first line without an HTTP version is sent as
	// HTTP/1.1 with Host. Default for http(s): "GET /index.pl?action=is_alive".
	Send string `toml:"send"`
	// Receive is what the first 64 KB of the body (tcp: of the stream; dns: of the records) must
	// contain; a value "regex:..." is a regular expression. Default for http(s) with the default
	// Send: "CB_IS_OKAY"; otherwise empty, which accepts any answer.
	Receive string `toml:"receive"`
	// Status lists the accepted HTTP status codes; default [200]. 503 always means overloaded.
	Status []int `toml:"status"`
	// Headers are added to the request, "Name: value" each.
	Headers []string `toml:"headers"`
	// ServerName is the TLS name to verify; default the host of the address.
	ServerName string `toml:"server_name"`
	// CA is a PEM file with the roots to trust; default the system's.
	CA string `toml:"ca"`
	// NoVerify turns certificate verification off; said aloud in `switchpoint check`.
	NoVerify bool `toml:"no_verify"`
	// ReceiveDisable is looked for like Receive; a match means that the target is draining: it
	// keeps its sessions and gets no new ones.
	ReceiveDisable string `toml:"receive_disable"`
	// Reverse turns the verdict of Receive round: a match is a failure, and none is a success. A
	// target that does not answer stays a failure.
	Reverse bool `toml:"reverse"`

	// Port is asked instead of the port of the target's address; 0 keeps that one.
	Port int `toml:"port"`
	// SendProxy (http, https, tcp) begins each connection with a header of the PROXY protocol, "v1"
	// or "v2", for targets that listen for it. It says that the connection is the prober's own.
	SendProxy string `toml:"send_proxy"`
	// MinValidity (tls) is how long the certificate must still be valid.
	MinValidity time.Duration `toml:"min_validity"`
	// Query (dns) is the question, "NAME TYPE"; the type may be left out and is A then.
	Query string `toml:"query"`
	// TLS (ldap, xmlrpc) means ldaps and https.
	TLS bool `toml:"tls"`
	// StartTLS (ldap) turns a plain connection into an encrypted one (RFC 4511 4.14).
	StartTLS bool `toml:"start_tls"`
	// BindDN (ldap) is who binds; empty binds anonymously. BindPassword is a reference,
	// "file:PATH" or "env:NAME".
	BindDN       string `toml:"bind_dn"`
	BindPassword string `toml:"bind_password"`
	// BaseDN (ldap) is where the search begins; empty reads the root DSE. Filter must find an
	// entry there; default "(objectClass=*)".
	BaseDN string `toml:"base_dn"`
	Filter string `toml:"filter"`
	// User (postgres) signs in to Database, default "postgres". Password is a reference.
	User     string `toml:"user"`
	Password string `toml:"password"`
	Database string `toml:"database"`
	// SSLMode (postgres) is "verify-full" (default), "require" (encrypted, any certificate) or
	// "disable".
	SSLMode string `toml:"sslmode"`
	// Role (postgres) is what the server must be: "primary", "replica" or "any" (default).
	Role string `toml:"role"`
	// MaxLag (postgres, role replica) bounds what is received and not yet replayed, "1MB".
	MaxLag string `toml:"max_lag"`
	// Path (xmlrpc) is where the method call is posted, default "/RPC2"; Method is what is
	// called, default "broker.isAlive".
	Path   string `toml:"path"`
	Method string `toml:"method"`
	// Command (exec) is the program, an absolute path, and its arguments; no shell is involved.
	Command []string `toml:"command"`

	Judging
}
