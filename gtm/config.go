package gtm

import (
	"time"

	"switchpoint/gtm/nodes"
	"switchpoint/gtm/place"
	"switchpoint/gtm/steer"
)

// Config is the [gtm] section: which datacenter a client gets, by authoritative DNS.
type Config struct {
	Listen []string `toml:"listen"` // ip:port, UDP and TCP each
	Zones  []Zone   `toml:"zone"`
	Names  []Name   `toml:"name"`

	// Where clients are: [[gtm.topology]], [[gtm.resolver]], [gtm.sites], [gtm.geo], ...
	Topology  []Topology       `toml:"topology"`
	Resolvers []place.Resolver `toml:"resolver"`
	Sites     place.Sites      `toml:"sites"`
	Geo       place.Geo        `toml:"geo"`
	Domains   []place.Domain   `toml:"domain"`
	Reverse   place.Reverse    `toml:"reverse"`
	ECS       place.ECS        `toml:"ecs"`

	Nodes    nodes.Config `toml:"nodes"`
	QueryLog QueryLog     `toml:"query_log"`

	// NSID names this server to clients that ask: in the NSID option (RFC 5001) and as id.server
	// and hostname.bind in class CH (RFC 4892). Empty hides it, which is the default.
	NSID string `toml:"nsid"`
	// Version is the answer to version.bind and version.server in class CH. Empty hides it.
	Version string `toml:"version"`
	// CookieSecret is a reference, "file:PATH" or "env:NAME", to the secrets of DNS cookies (RFC
	// 9018), one a line as 32 hexadecimal digits. The first one makes cookies, all of them
	// verify: that is how a new one is rolled in. Servers that answer at one address need the
	// same. Without it, one is made up at each start.
	CookieSecret string `toml:"cookie_secret"`
	// EDESynthesized marks steered answers with the extended error 29, Synthesized (RFC 8914).
	EDESynthesized bool `toml:"ede_synthesized"`
	RRL            RRL  `toml:"rrl"`
	TCP            TCP  `toml:"tcp"`

	// Datacenter is the node's own ([node] datacenter): unmatched clients get it first (GT3).
	Datacenter string `toml:"-"`
	// Datacenters lists all [[datacenter]] names in file order.
	Datacenters []string `toml:"-"`
	// Serial grows with each change of the configuration: the SOA serial of zones without a
	// file. 0 counts as 1.
	Serial uint32 `toml:"-"`
}

// Places is the part of the section that says where clients are.
func (c Config) Places() place.Config {
	return place.Config{
		Rules: c.Topology, Resolvers: c.Resolvers, Sites: c.Sites, Geo: c.Geo, Domains: c.Domains,
		Reverse: c.Reverse, ECS: c.ECS, Datacenter: c.Datacenter, Datacenters: c.Datacenters,
	}
}

// RRL is [gtm.rrl], response rate limiting: how much a client network gets over UDP without a
// valid cookie, so that forged queries do not turn the server against a victim.
type RRL struct {
	Off bool `toml:"off"`
	// Rate is in answers a second to one network (IPv4 /24, IPv6 /56); default 200.
	Rate int `toml:"rate"`
	// Slip answers every so many-th of the limited queries shortly, with TC or BADCOOKIE, so
	// that a real client gets through; default 2.
	Slip int `toml:"slip"`
	// Exempt are the networks without a limit; default DefaultExempt, the private ones.
	Exempt []string `toml:"exempt"`
}

// TCP is [gtm.tcp]: what connections can take.
type TCP struct {
	Connections int           `toml:"connections"` // at once, default 1000
	PerClient   int           `toml:"per_client"`  // of them from one address (IPv6: one /64), default 100
	Idle        time.Duration `toml:"idle"`        // a connection without queries, default 10s
}

// Zone is a [[gtm.zone]]. Steered names must lie in one.
type Zone struct {
	Origin string `toml:"origin"`
	// File is a master file (RFC 1035). Without it the zone has just the SOA and NS that are
	// made from NS: the form for "cb.company.com as a zone of its own" (GT11).
	File string   `toml:"file"`
	NS   []string `toml:"ns"`
}

// The steered names and the places of clients are configured in the packages that use them.
type (
	// Name is a [[gtm.name]].
	Name = steer.Name
	// Service is a [[gtm.name.srv]].
	Service = steer.Service
	// Pool is a [[gtm.name.pool]].
	Pool = steer.Pool
	// Member is one address that may be answered.
	Member = steer.Member
	// Topology is a [[gtm.topology]].
	Topology = place.Rule
)

// QueryLog is [gtm.query_log]: a sample of the queries with their answers, as JSON lines.
type QueryLog struct {
	File   string `toml:"file"`   // empty: none
	Sample int    `toml:"sample"` // one of so many queries is logged; default 100
}
