package steer

import "time"

// Name is a [[gtm.name]]: a steered name laid over the zones (GT2). A and AAAA stand at Name,
// SRV at each of SRV; all come from the same pools, so that they never disagree.
type Name struct {
	Name string `toml:"name"`
	// Method is how the members inside a pool are chosen: "round-robin" (default), "weighted",
	// "failover" (the first in the list that serves), "hash" (a client network keeps its member)
	// or "least-load" (in proportion to the capacity left that members report).
	Method string `toml:"method"`
	// Between is how pools are ordered: "topology" (default; by the client's place), "failover"
	// (in the order of the file), "weighted" (by the weights of the pools) or "mode" (the pools
	// of the mode that the operator has set, primary or dr).
	Between string `toml:"between"`
	// Answers is how many addresses one answer has; 0 is the method's default: all for
	// round-robin, one for the others.
	Answers int `toml:"answers"`
	// TTL is the longest time that a client may keep an answer, default 30s; TTLMin the
	// shortest, default 5s or TTL where that is less (GT6).
	TTL    time.Duration `toml:"ttl"`
	TTLMin time.Duration `toml:"ttl_min"`
	// Monitor is the name of a [[monitor]]; empty: members count as up.
	Monitor string `toml:"monitor"`
	// AllDown is the answer when nothing serves: "last-good" (default), "all", "fallback",
	// "nodata" or "servfail".
	AllDown string `toml:"all_down"`
	// Fallback are the addresses of all_down = "fallback"; nobody monitors them.
	Fallback []string `toml:"fallback"`
	// UpThresh is the share of a pool's members that must be up, as in "0.5"; with fewer the pool
	// takes part only when no other does. 0, the default: any one of them.
	UpThresh float64 `toml:"up_thresh"`
	// FailbackDelay is how long a pool that was out must be well before it takes part again.
	FailbackDelay time.Duration `toml:"failback_delay"`
	// ManualResume keeps a pool that went out until an operator releases it.
	ManualResume bool `toml:"manual_resume"`
	// MaxDemotions is how many pools may go out because of their health within a minute;
	// default 1. Pools that are back count no more.
	MaxDemotions int `toml:"max_demotions"`
	// PreferNormal moves the clients of a pool whose members all work without their database to a pool
	// with members in mode normal, little by little as overload does. It is for a cluster whose brokers
	// stand in several datacenters; of separate clusters each is the home of its own users. Inside a
	// pool members in mode normal come first in any case.
	PreferNormal bool `toml:"prefer_normal"`
	// MinDatacenters is how many pools an operator's word must leave in; default 1.
	MinDatacenters int `toml:"min_datacenters"`

	SRV   []Service `toml:"srv"`
	Pools []Pool    `toml:"pool"`
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
	Weight     int      `toml:"weight"` // for between = "weighted"; default 1
	Mode       string   `toml:"mode"`   // for between = "mode": "primary" (default) or "dr"
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
