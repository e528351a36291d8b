package place

import (
	"time"

	"switchpoint/directory/sites"
)

// Config is all that says where clients are. It is a part of [gtm].
type Config struct {
	Rules     []Rule
	Resolvers []Resolver
	Sites     Sites
	Geo       Geo
	Domains   []Domain
	Reverse   Reverse
	ECS       ECS

	// Datacenter is the node's own ([node] datacenter): unmatched clients get it first (GT3).
	Datacenter string
	// Datacenters lists all [[datacenter]] names in file order.
	Datacenters []string
}

// Rule is a [[gtm.topology]]: clients of Prefix get the datacenters in this order (GT4).
type Rule struct {
	Prefix      string   `toml:"prefix"`
	Datacenters []string `toml:"datacenters"`
}

// Resolver is a [[gtm.resolver]]: a resolver whose address says nothing of its clients (GT12).
// What it asks without a client subnet is answered for these datacenters.
type Resolver struct {
	Prefix      string   `toml:"prefix"` // an address or a prefix
	Datacenters []string `toml:"datacenters"`
}

// Sites is [gtm.sites]: Active Directory sites and subnets, live over LDAP or from an LDIF file.
type Sites struct {
	sites.Config               // the domain controllers: urls, bind_dn, ...
	LDIF         string        `toml:"ldif"`          // a file, instead of urls
	Refresh      time.Duration `toml:"refresh"`       // default 15m
	ApproveAbove int           `toml:"approve_above"` // more changed subnets than this wait for an operator; default 20, negative: none wait
	// Map says which sites stand in which datacenter; a site that is not listed has the
	// datacenter of its own name, if there is one.
	Map []SiteMap `toml:"map"`
}

// SiteMap is a [[gtm.sites.map]].
type SiteMap struct {
	Site       string `toml:"site"`
	Datacenter string `toml:"datacenter"`
}

// Geo is [gtm.geo]: a MaxMind database for the clients that no rule and no site covers.
type Geo struct {
	File  string    `toml:"file"`
	Rules []GeoRule `toml:"rule"`
}

// GeoRule is a [[gtm.geo.rule]]; the first that matches counts. What is empty matches all.
type GeoRule struct {
	Continent   string   `toml:"continent"` // "EU"
	Country     string   `toml:"country"`   // "DE"
	ASN         uint32   `toml:"asn"`
	Datacenters []string `toml:"datacenters"`
}

// Domain is a [[gtm.domain]]: clients whose computer has this domain get these datacenters
// (GT13). The longest suffix counts.
type Domain struct {
	Suffix      string   `toml:"suffix"`
	Datacenters []string `toml:"datacenters"`
}

// Reverse is [gtm.reverse]: how the name of a client's computer is found, off the query path.
type Reverse struct {
	Servers []string      `toml:"servers"` // ip:port of name servers with the PTR records
	Timeout time.Duration `toml:"timeout"` // default 2s
	Keep    time.Duration `toml:"keep"`    // how long a result is used; default 1h
	Entries int           `toml:"entries"` // how many clients are remembered; default 100000
}

// ECS is [gtm.ecs]: the client subnet that resolvers send (RFC 7871).
type ECS struct {
	Off     bool     `toml:"off"`
	Trusted []string `toml:"trusted"` // addresses and prefixes of resolvers whose word counts; default: all; an empty list: none
}
