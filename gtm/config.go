package gtm

import "time"

// Config is the [gtm] section: which datacenter a client gets, by authoritative DNS.
type Config struct {
	Listen   []string   `toml:"listen"` // ip:port, UDP and TCP each
	Zones    []Zone     `toml:"zone"`
	Names    []Name     `toml:"name"`
	Topology []Topology `toml:"topology"`

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

// Name is a [[gtm.name]]: a steered name laid over the zones (GT2). A and AAAA stand at Name,
// SRV at each of SRV; all come from the same pools, so that they never disagree.
type Name struct {
	Name    string        `toml:"name"`
	Method  string        `toml:"method"`   // inside a pool: "round-robin" (default)
	TTL     time.Duration `toml:"ttl"`      // default 30s
	Monitor string        `toml:"monitor"`  // name of a [[monitor]]; empty: members count as up
	AllDown string        `toml:"all_down"` // "all" (default), "nodata", "servfail"
	SRV     []Service     `toml:"srv"`
	Pools   []Pool        `toml:"pool"`
}

// Service is a [[gtm.name.srv]]: an owner name that answers SRV for the steered name.
type Service struct {
	Name string `toml:"name"`
	// Target is "members" (default: one record per member host, priority = datacenter order)
	// or "name" (one record that points at the steered name, as old clients expect).
	Target string `toml:"target"`
	// Port is used for Target "name"; default the port of the first member.
	Port uint16 `toml:"port"`
}

// Pool is a [[gtm.name.pool]]: the members in one datacenter.
type Pool struct {
	Datacenter string   `toml:"datacenter"`
	Members    []Member `toml:"members"`
}

// Member is one address that may be answered.
type Member struct {
	// Host is the SRV target, such as "lb.us.company.com". In a zone of ours that has no
	// record for it, it answers with Address by itself.
	Host    string `toml:"host"`
	Address string `toml:"address"` // IPv4 or IPv6
	Port    uint16 `toml:"port"`    // for the monitor and the SRV record
	Weight  int    `toml:"weight"`  // default 1
}

// Topology is a [[gtm.topology]]: clients of Prefix get the datacenters in this order (GT4).
type Topology struct {
	Prefix      string   `toml:"prefix"`
	Datacenters []string `toml:"datacenters"`
}
