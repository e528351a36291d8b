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
}

// Monitor is one [[monitor]]: how to ask a target whether it is alive (HK1, HK2).
type Monitor struct {
	Name string `toml:"name"`
	// Kind is "http", "https" or "tcp".
	Kind     string        `toml:"kind"`
	Interval time.Duration `toml:"interval"` // default 5s
	Timeout  time.Duration `toml:"timeout"`  // default 2s, must be below interval
	Fall     int           `toml:"fall"`     // failures in a row until down; default 3
	Rise     int           `toml:"rise"`     // successes in a row until up; default 2

	// Send is the raw request (ECV). A first line without an HTTP version is sent as
	// HTTP/1.1 with Host. Default for http(s): "GET /index.pl?action=is_alive".
	Send string `toml:"send"`
	// Receive is what the first 64 KB of the body (tcp: of the stream) must contain; a value
	// "regex:..." is a regular expression. Default for http(s) with the default Send:
	// "CB_IS_OKAY"; otherwise empty, which accepts any answer.
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
}
