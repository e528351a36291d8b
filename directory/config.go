package directory

import "time"

// Defaults of LD1.
const (
	DefaultTimeout  = 3 * time.Second
	DefaultIdle     = 300 * time.Second // below Active Directory's MaxConnIdleTime of 900 s
	DefaultMaxConns = 16
)

// Values of Config.ServerOrder.
const (
	Ordered    = "ordered"
	RoundRobin = "round-robin"
)

// Values of Config.Groups.
const (
	GroupsToken    = "tokenGroups"
	GroupsMemberOf = "memberOf"
	GroupsNested   = "nested"
	GroupsNone     = "none"
)

// Config is a [[directory]]: one authentication server, or several that hold the same users.
type Config struct {
	Name string `toml:"name"`
	// Servers are ldap:// or ldaps:// URLs. ldap+srv://DOMAIN and ldaps+srv://DOMAIN stand for the
	// servers that the DNS names for _ldap._tcp.DOMAIN (or _ldaps._tcp.DOMAIN), with their
	// priorities and weights.
	Servers []string `toml:"servers"`
	// ServerOrder says who is asked first: "ordered" (default), the first that is not down;
	// "round-robin", another one with each login. Who is down is left out either way.
	ServerOrder string `toml:"server_order"`
	StartTLS    bool   `toml:"start_tls"`
	CA          string `toml:"ca"`          // PEM roots; default the system's
	Verify      string `toml:"server_name"` // name to verify; default the host of the URL
	NoVerify    bool   `toml:"no_verify"`
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
	// Groups says where memberOf of a user comes from, when a rule or a policy looks at it:
	// "tokenGroups" (Active Directory's own list, with nested groups; default there), "memberOf"
	// (direct groups as the server has them; default elsewhere), "nested" (memberOf or the groups
	// that name the user, then level by level the groups that these are in) or "none".
	Groups string `toml:"groups"`
	// GroupBase is where groups are searched; default the whole tree that BaseDN stands in.
	GroupBase string `toml:"group_base"`
	// Referrals are URLs of the servers to which a server may refer (result code 10). Others are
	// not followed. Continuation references are never followed.
	Referrals []string `toml:"referrals"`
	// Monitor is the name of a [[monitor]] of the process, usually of kind ldap. Servers that have
	// a URL then are checks of the health engine, and every operation tells how it went there.
	Monitor  string        `toml:"monitor"`
	Timeout  time.Duration `toml:"timeout"`   // for every operation; default 3s
	MaxConns int           `toml:"max_conns"` // per server and purpose (search, bind); default 16
}
