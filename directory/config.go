package directory

import "time"

// Defaults of LD1.
const (
	DefaultTimeout  = 3 * time.Second
	DefaultIdle     = 300 * time.Second // below Active Directory's MaxConnIdleTime of 900 s
	DefaultMaxConns = 16
)

// Config is a [[directory]]: one authentication server, or several that hold the same users.
type Config struct {
	Name string `toml:"name"`
	// Servers are ldap:// or ldaps:// URLs, tried in this order.
	Servers  []string `toml:"servers"`
	StartTLS bool     `toml:"start_tls"`
	CA       string   `toml:"ca"`          // PEM roots; default the system's
	Verify   string   `toml:"server_name"` // name to verify; default the host of the URL
	NoVerify bool     `toml:"no_verify"`
	// AllowPlain lets passwords cross the network unencrypted, with ldap:// and no StartTLS, to
	// a server that is not on this host.
	AllowPlain bool   `toml:"allow_plain"`
	BaseDN     string `toml:"base_dn"`
	BindDN     string `toml:"bind_dn"` // service account for searches; empty: anonymous
	// BindPassword is a reference: "file:PATH" or "env:NAME".
	BindPassword string `toml:"bind_password"`
	// UserFilter finds one user; {user} is replaced by the escaped name, {upn} by the escaped
	// name with its @domain. Default finds uid, sAMAccountName and userPrincipalName.
	UserFilter string `toml:"user_filter"`
	// Attributes are read besides those that redirect rules and policies use.
	Attributes []string `toml:"attributes"`
	// Monitor is the name of a [[monitor]] of the process, usually of kind ldap. Its servers then
	// are checks of the health engine, and every operation tells how it went there.
	Monitor  string        `toml:"monitor"`
	Timeout  time.Duration `toml:"timeout"`   // for every operation; default 3s
	MaxConns int           `toml:"max_conns"` // per server and purpose (search, bind); default 16
}
