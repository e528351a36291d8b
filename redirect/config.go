package redirect

// Config is the [directory.redirect] section: "Forward Users to another Connection Broker",
// per authentication server (RD1, RD2).
type Config struct {
	Attribute string `toml:"attribute"` // e.g. "distinguishedName"
	// Match is one of: equals, does-not-equal, contains, does-not-contain, begins-with,
	// ends-with, any-value-exists, regex (RD6).
	Match string `toml:"match"`
	// Rules holds one rule a line: `Value > Destination [if_assigned_only]`. A value that
	// contains ">" stands in double quotes. Empty lines and lines that start with # are
	// skipped. ParseRules has the whole form.
	Rules string `toml:"rules"`
	// CaseSensitive is true by default, as in the original (RD2).
	CaseSensitive *bool `toml:"case_sensitive"`
	// Default applies when no rule does: "log-in-here" (default) or "reject" (RD3).
	Default string `toml:"default"`
	// HomeUnavailable applies when a rule matches but no destination is available:
	// "refuse" (default) or "log-in-here" (RD9).
	HomeUnavailable string `toml:"home_unavailable"`
}

// Destination is a [[destination]]: another cluster that a user may be sent to.
type Destination struct {
	Name    string `toml:"name"`    // as the rules name it
	URL     string `toml:"url"`     // what the client is told, e.g. "https://cb.us.company.com"
	Cluster string `toml:"cluster"` // whose brokers answer for it; this cluster's own = log in here
	Peer    string `toml:"peer"`    // name of one trusted peer to ask; empty: any of Cluster
	// Monitor is the name of a [[monitor]] of the process; empty: the is_alive page of URL is asked,
	// with the defaults of an http or https monitor (RD9).
	Monitor string `toml:"monitor"`
	// Address is host:port to probe; default that of URL.
	Address string `toml:"address"`
	// CA is a PEM file with the roots to trust for URL; default the system's.
	CA string `toml:"ca"`
	// Plain is for brokers that are no Switchpoint: they take no ticket, so the user signs in there
	// with his password (RD9).
	Plain bool `toml:"plain"`
}
