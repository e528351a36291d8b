package broker

import (
	"cmp"
	"net/netip"
	"strings"
	"time"

	"switchpoint/internal/problem"
)

// Defaults of the [broker] section.
const (
	DefaultCapacity        = 64
	DefaultAnswerWithin    = 10 * time.Second
	DefaultLoginDeadline   = 120 * time.Second
	DefaultSessionLifetime = 10 * time.Hour
	DefaultLogRetention    = 30 * 24 * time.Hour
	DefaultDesktopPatience = 10 * time.Minute

	maxCapacity = 100_000
	maxSiteID   = 65535
)

// Values of Config.IsAlive (AL4).
const (
	AliveServing = "serving"
	AliveBackend = "backend"
)

// WithDefaults returns c with every default in its place.
func (c Config) WithDefaults() Config {
	c.IsAlive = cmp.Or(c.IsAlive, AliveServing)
	c.Capacity = cmp.Or(c.Capacity, DefaultCapacity)
	c.AnswerWithin = cmp.Or(c.AnswerWithin, DefaultAnswerWithin)
	c.LoginDeadline = cmp.Or(c.LoginDeadline, DefaultLoginDeadline)
	c.SessionLifetime = cmp.Or(c.SessionLifetime, DefaultSessionLifetime)
	c.SessionExpiry = cmp.Or(c.SessionExpiry, ExpiryNever)
	c.LogRetention = cmp.Or(c.LogRetention, DefaultLogRetention)
	c.DesktopPatience = cmp.Or(c.DesktopPatience, DefaultDesktopPatience)
	c.Database = c.Database.withDefaults()
	c.Outage = c.Outage.withDefaults(c.Database)
	return c
}

// Validate reports every problem of c; it looks at no file and no socket.
func (c Config) Validate() error {
	c = c.WithDefaults()
	var l problem.List
	checkName(&l, "cluster", c.Cluster)
	if c.SiteID < 1 || c.SiteID > maxSiteID {
		l.Addf("site_id", "give each broker of the cluster its own number", "site id %d is not in 1..%d", c.SiteID, maxSiteID)
	}
	checkListen(&l, c.Listen)
	if (c.Cert == "") != (c.Key == "") {
		l.Addf("cert", "set both, or neither for plain HTTP behind a balancer", "cert and key go together and only one is set")
	}
	for i, p := range c.TrustedProxies {
		if _, err := ParsePrefix(p); err != nil {
			l.Addf(index("trusted_proxies", i), `write an address or a prefix, e.g. "10.0.0.0/8"`, "%q is no address prefix", p)
		}
	}
	for i, p := range c.LimitsExempt {
		if _, err := ParsePrefix(p); err != nil {
			l.Addf(index("limits_exempt", i), `write an address or a prefix, e.g. "192.0.2.0/28"`, "%q is no address prefix", p)
		}
	}
	if c.IsAlive != AliveServing && c.IsAlive != AliveBackend {
		l.Addf("is_alive", `write "serving" or "backend"`, "unknown is_alive %q", c.IsAlive)
	}
	if c.Capacity < 1 || c.Capacity > maxCapacity {
		l.Addf("capacity", "leave it out for the default of 64", "capacity %d is not in 1..%d", c.Capacity, maxCapacity)
	}
	checkSpan(&l, "answer_within", c.AnswerWithin, 10*time.Millisecond, time.Minute)
	checkSpan(&l, "login_deadline", c.LoginDeadline, time.Second, 10*time.Minute)
	checkSpan(&l, "session_lifetime", c.SessionLifetime, time.Second, 30*24*time.Hour)
	if _, err := parseExpiry(c.SessionExpiry); err != nil {
		l.Addf("session_expiry", expiryCure(), "%v", err)
	}
	checkSpan(&l, "log_retention", c.LogRetention, time.Hour, 10*365*24*time.Hour)
	checkSpan(&l, "desktop_patience", c.DesktopPatience, time.Minute, 24*time.Hour)
	c.Database.validate(&l)
	c.Outage.validate(&l)
	return l.Err()
}

func checkListen(l *problem.List, listen []string) {
	if len(listen) == 0 {
		l.Addf("listen", `write listen = ["ip:port"]`, "the broker has no address to listen on")
	}
	seen := make(map[netip.AddrPort]bool)
	for i, a := range listen {
		ap, err := netip.ParseAddrPort(a)
		switch {
		case err != nil:
			l.Addf(index("listen", i), `write "ip:port", e.g. "0.0.0.0:443"`, "%q is no ip:port", a)
		case seen[ap] && ap.Port() != 0:
			l.Addf(index("listen", i), "remove one of them", "%s is listed twice", a)
		}
		seen[ap] = true
	}
}

func checkSpan(l *problem.List, path string, d, low, high time.Duration) {
	if d < low || d > high {
		l.Addf(path, "leave it out for the default", "%s is not between %s and %s", d, low, high)
	}
}

// ParsePrefix reads an address prefix; a bare address means that address alone.
func ParsePrefix(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		return p.Masked(), err
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}
