package gtm

import "time"

// Config is the [gtm] section: which datacenter a client gets, by authoritative DNS.
type Config struct {
	Listen   []string   `toml:"listen"` // ip:port, UDP and TCP each
	Zones    []Zone     `toml:"zone"`
	Names    []Name     `toml:"name"`
	Topology []Topology `toml:"topology"`

	// Datacenter is the node's own ([node] datacenter): unmatched clients get it first (GT3).
	Datacenter string `toml:"-"`
	// Datacenters lists all [[datacenter]] names in file order.
	Datacenters []string `toml:"-"`
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
