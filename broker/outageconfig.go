package broker

import (
	"cmp"
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

const (
	defaultCacheEvery  = 2 * time.Minute // HC4
	defaultCacheMaxAge = 7 * 24 * time.Hour
)

// Outage is the [broker.outage] section: how the broker serves while its database does not.
type Outage struct {
	// Mode is "auto" (default: from whatever there is), "hostcache", or "off": no login without the
	// database. The embedded database is on this host already: for it there is no outage mode.
	Mode string `toml:"mode"`
	// Profile is how soon the database counts as lost: "fast" (default) after 2s, "citrix" after 40s.
	Profile string `toml:"profile"`
	// CacheEvery is how often the host cache looks for changes; default 2m.
	CacheEvery time.Duration `toml:"cache_every"`
	// CacheMaxAge is how old a host cache may be and still serve; default 168h (a week).
	CacheMaxAge time.Duration `toml:"cache_max_age"`
}

func (o Outage) withDefaults(d Database) Outage {
	if d.Kind == KindSQLite {
		o.Mode = OutageOff
	}
	o.Mode = cmp.Or(o.Mode, OutageAuto)
	o.Profile = cmp.Or(o.Profile, OutageFast)
	o.CacheEvery = cmp.Or(o.CacheEvery, defaultCacheEvery)
	o.CacheMaxAge = cmp.Or(o.CacheMaxAge, defaultCacheMaxAge)
	return o
}

func (o Outage) validate(l *problem.List) {
	if o.Mode != OutageAuto && o.Mode != OutageHostCache && o.Mode != OutageOff {
		l.Addf("outage.mode", `write "auto", "hostcache" or "off"`, "unknown mode %q", o.Mode)
	}
	if o.Profile != OutageFast && o.Profile != OutageCitrix {
		l.Addf("outage.profile", `write "fast" or "citrix"`, "unknown profile %q", o.Profile)
	}
	if o.CacheEvery < time.Second || o.CacheEvery > time.Hour {
		l.Addf("outage.cache_every", "leave it out for the default of 2m", "%s is not in 1s..1h", o.CacheEvery)
	}
	if o.CacheMaxAge < time.Minute {
		l.Addf("outage.cache_max_age", "leave it out for the default of a week", "%s is shorter than a minute", o.CacheMaxAge)
	}
}
