package broker

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"switchpoint/internal/problem"
)

// Values of Outage.Mode (DC8).
const (
	OutageAuto      = "auto"
	OutageHostCache = "hostcache"
	OutageLeases    = "leases"
	OutageOff       = "off"
)

// Values of Outage.Profile.
const (
	OutageFast   = "fast"
	OutageCitrix = "citrix"
)

// Values of Outage.Serve.
const (
	ServeAll     = "all"
	ServeElected = "elected"
)

// Values of Outage.Elect.
const (
	ElectName     = "name"
	ElectCapacity = "capacity"
)

const (
	defaultCacheEvery  = 2 * time.Minute // HC4
	defaultCacheMaxAge = 7 * 24 * time.Hour
)

// Outage is the [broker.outage] section: how the broker serves while its database does not.
type Outage struct {
	// Mode is "auto" (default: from the host cache, else from leases), "hostcache" or "leases" (from that
	// alone), or "off": no login without the database. The embedded database is on this host already: for it
	// there is no outage mode.
	Mode string `toml:"mode"`
	// Profile is how soon the database counts as lost: "fast" (default) after 2s, "citrix" after 40s.
	Profile string `toml:"profile"`
	// CacheEvery is how often the host cache and the copies of leases look for changes; default 2m.
	CacheEvery time.Duration `toml:"cache_every"`
	// CacheMaxAge is how old a host cache may be and still serve; default 168h (a week).
	CacheMaxAge time.Duration `toml:"cache_max_age"`
	// Serve is which brokers of the cluster serve in an outage: "all" (default), or "elected": one of those
	// that hear each other over the peer channel, and the others refuse. All brokers need the same value.
	Serve string `toml:"serve"`
	// Elect is who that is: "name" (default), the first in the alphabet by node name, or "capacity", the one
	// that can take the most logins at a time, and of those the first by name.
	Elect string `toml:"elect"`
}

func (o Outage) withDefaults(d Database) Outage {
	if d.Kind == KindSQLite {
		o.Mode = OutageOff
	}
	o.Mode = cmp.Or(o.Mode, OutageAuto)
	o.Profile = cmp.Or(o.Profile, OutageFast)
	o.CacheEvery = cmp.Or(o.CacheEvery, defaultCacheEvery)
	o.CacheMaxAge = cmp.Or(o.CacheMaxAge, defaultCacheMaxAge)
	o.Serve = cmp.Or(o.Serve, ServeAll)
	o.Elect = cmp.Or(o.Elect, ElectName)
	return o
}

// Leasing says why a broker of this configuration does not serve from leases, or ""; o has its defaults.
func (o Outage) Leasing() string {
	if o.Mode == OutageAuto || o.Mode == OutageLeases {
		return ""
	}
	return fmt.Sprintf("[broker.outage] mode is %q", o.Mode)
}

func (o Outage) validate(l *problem.List) {
	if !slices.Contains([]string{OutageAuto, OutageHostCache, OutageLeases, OutageOff}, o.Mode) {
		l.Addf("outage.mode", `write "auto", "hostcache", "leases" or "off"`, "unknown mode %q", o.Mode)
	}
	if o.Profile != OutageFast && o.Profile != OutageCitrix {
		l.Addf("outage.profile", `write "fast" or "citrix"`, "unknown profile %q", o.Profile)
	}
	if o.Serve != ServeAll && o.Serve != ServeElected {
		l.Addf("outage.serve", `write "all" or "elected"`, "unknown value %q", o.Serve)
	}
	switch {
	case o.Elect != ElectName && o.Elect != ElectCapacity:
		l.Addf("outage.elect", `write "name" or "capacity"`, "unknown value %q", o.Elect)
	case o.Elect != ElectName && o.Serve == ServeAll:
		l.Addf("outage.elect", `write serve = "elected" beside it, or leave it out`, "nobody is elected while all brokers serve")
	}
	if o.CacheEvery < time.Second || o.CacheEvery > time.Hour {
		l.Addf("outage.cache_every", "leave it out for the default of 2m", "%s is not in 1s..1h", o.CacheEvery)
	}
	if o.CacheMaxAge < time.Minute {
		l.Addf("outage.cache_max_age", "leave it out for the default of a week", "%s is shorter than a minute", o.CacheMaxAge)
	}
}
