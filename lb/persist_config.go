package lb

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"switchpoint/internal/problem"
	"switchpoint/internal/secret"
)

// Kinds of persistence (LB3).
const (
	PersistSource  = "source-address"
	PersistCookie  = "cookie"
	PersistSession = "session"
	PersistNone    = "none"
)

// Defaults of LB3.
const (
	DefaultPersistence         = PersistSource
	DefaultPersistenceTimeout  = 300 * time.Second
	DefaultPersistenceMask     = 32
	DefaultPersistencePrefixV6 = 64
	DefaultCookie              = "SPLB"
	DefaultSpreadAbove         = 2
)

const (
	// minPersistenceSecret is what a secret must have at least, in bytes.
	minPersistenceSecret = 32
	maxSpreadAbove       = 1000
	maxCookieName        = 64
)

func (p *Pool) persistenceDefaults() {
	orString(&p.Persistence, DefaultPersistence)
	orDuration(&p.PersistenceTimeout, DefaultPersistenceTimeout)
	orInt(&p.PersistenceMask, DefaultPersistenceMask)
	orInt(&p.PersistencePrefixV6, DefaultPersistencePrefixV6)
	if p.Persistence == PersistCookie {
		orString(&p.Cookie, DefaultCookie)
	}
	if p.Persistence == PersistSession && p.SpreadAbove == nil {
		spread := DefaultSpreadAbove
		p.SpreadAbove = &spread
	}
}

// validatePersistence reports what is wrong with persistence in the pool itself.
func (p Pool) validatePersistence(list *problem.List) {
	kinds := []string{PersistSource, PersistCookie, PersistSession, PersistNone}
	if !slices.Contains(kinds, p.Persistence) {
		list.Addf("persistence", "write one of "+quoted(kinds), "%q is not a kind of persistence", p.Persistence)
		return
	}
	between(list, "persistence_mask", "the bits of an IPv4 address that tell clients apart", p.PersistenceMask, 1, 32)
	between(list, "persistence_prefix_v6", "the bits of an IPv6 address that tell clients apart", p.PersistencePrefixV6, 1, 128)
	if p.Persistence != PersistCookie && (p.Cookie != "" || p.PersistenceSecret != "") {
		list.Addf("persistence", `write "cookie", or remove cookie and persistence_secret`, "%q has no cookies", p.Persistence)
	}
	if p.Persistence == PersistCookie && (!isToken([]byte(p.Cookie)) || len(p.Cookie) > maxCookieName || strings.HasPrefix(p.Cookie, "__")) {
		list.Addf("cookie", fmt.Sprintf("write a name of at most %d letters and digits", maxCookieName), "%q is no name for a cookie", p.Cookie)
	}
	if p.SpreadAbove != nil {
		if p.Persistence != PersistSession {
			list.Addf("spread_above", `write persistence = "session", or remove it`, "%q never spreads a source: its clients would lose their sessions", p.Persistence)
		}
		between(list, "spread_above", "the times of its fair share at which a source is spread, 0 for never", *p.SpreadAbove, 0, maxSpreadAbove)
	}
	if _, err := p.readPersistenceSecret(); err != nil {
		list.Under("", err)
	}
}

// validateCookies reports where cookies cannot work.
func (p Pool) validateCookies(c Config) error {
	var list problem.List
	if p.Persistence != PersistCookie {
		return nil
	}
	for _, l := range c.Listeners {
		if l.Mode == modeTCP && c.leadsFrom(l, p.Name) {
			list.Addf("persistence", `write "source-address"`, "the tcp listener %q cannot give its clients cookies", l.Name)
			break
		}
	}
	for _, other := range c.Pools {
		if other.Name == p.Name {
			break // said of the later one
		}
		same := other.Persistence == PersistCookie && other.Cookie == p.Cookie
		if same && slices.ContainsFunc(c.Listeners, func(l Listener) bool { return c.leadsFrom(l, p.Name) && c.leadsFrom(l, other.Name) }) {
			list.Addf("cookie", "give each its own", "pool %q has the name %q too, and clients of both would lose the one with the other", other.Name, p.Cookie)
		}
	}
	if len(c.Nodes.Peers) > 0 && p.PersistenceSecret == "" {
		list.Addf("persistence_secret", "give all nodes the same secret, such as \"file:lb-cookies.key\"", "is missing: the other nodes of [lb.nodes] could not read the cookies of this one")
	}
	return list.Err()
}

// leadsFrom says whether requests of a listener may come to a pool.
func (c Config) leadsFrom(l Listener, pool string) bool {
	return c.leads(l.Pool, pool) || slices.ContainsFunc(l.Routes, func(r Route) bool { return c.leads(r.Pool, pool) })
}

// readPersistenceSecret follows the reference; empty gives none.
func (p Pool) readPersistenceSecret() ([]byte, error) {
	if p.PersistenceSecret == "" {
		return nil, nil
	}
	s, err := secret.Read(p.PersistenceSecret)
	if err != nil {
		return nil, problem.Problem{Path: "persistence_secret", What: err.Error(), Cure: secret.Cure}
	}
	if len(s) < minPersistenceSecret {
		return nil, problem.Problem{Path: "persistence_secret", What: fmt.Sprintf("the secret has %d bytes", len(s)),
			Cure: fmt.Sprintf("give it at least %d random ones, for example from `openssl rand -hex 32`", minPersistenceSecret)}
	}
	return []byte(s), nil
}

func (p Pool) compilePersistence() (persistence, error) {
	key, err := p.readPersistenceSecret()
	out := persistence{
		kind: p.Persistence, keep: p.PersistenceTimeout, mask4: p.PersistenceMask, mask6: p.PersistencePrefixV6,
		cookie: p.Cookie, secret: key,
	}
	if p.SpreadAbove != nil {
		out.spreadAbove = *p.SpreadAbove
	}
	return out, err
}
