package hostcache

import (
	"fmt"
	"slices"

	"switchpoint/broker"
	"switchpoint/broker/sqlite"
)

// shadow is one login of a rehearsal.
type shadow struct {
	broker.Who
	Grants []broker.Grant
}

// shadows gives every user the grants of his session, or of one policy after the other.
func shadows(users []sqlite.CacheUser, s broker.Setup) []shadow {
	kinds := make(map[string]string)
	for _, p := range s.DesktopPools {
		kinds[p.Name] = p.Kind
	}
	out := make([]shadow, len(users))
	for i, u := range users {
		out[i] = shadow{u.Who, u.Grants}
		if u.Grants != nil || len(s.Policies) == 0 {
			continue
		}
		p := s.Policies[i%len(s.Policies)]
		for _, pool := range p.Pools {
			if kinds[pool] == broker.KindPooled {
				out[i].Grants = append(out[i].Grants, broker.Grant{Pool: pool, MaxOffers: p.MaxOffers, Order: p.Order, MaxSessions: p.MaxSessions})
			}
		}
	}
	return out
}

// compareOffers says how the offers of the cache differ from those of the database. Which desktop of a
// pool is free or held changes from moment to moment: what is held on either side, and the states of
// pooled offers, do not count.
func compareOffers(cache, database []broker.Offer) (out []string) {
	here, there := byID(cache), byID(database)
	for _, id := range inOrder(here, there) {
		h, inCache := here[id]
		d, inDatabase := there[id]
		switch {
		case h.State == broker.OfferRunning || d.State == broker.OfferRunning:
		case !inCache:
			out = append(out, fmt.Sprintf("%s %q is offered by the database only", d.Kind, d.Name))
		case !inDatabase:
			out = append(out, fmt.Sprintf("%s %q is offered by the cache only", h.Kind, h.Name))
		default:
			out = append(out, compareOffer(h, d)...)
		}
	}
	return out
}

func compareOffer(cache, database broker.Offer) (out []string) {
	for _, f := range []struct{ field, cache, database string }{
		{"name", cache.Name, database.Name}, {"pool", cache.Pool, database.Pool}, {"kind", cache.Kind, database.Kind},
		{"protocol", cache.Protocol, database.Protocol}, {"state", cache.State, database.State},
	} {
		if f.cache != f.database && (f.field != "state" || cache.Kind == broker.KindAssigned) {
			out = append(out, fmt.Sprintf("%s of %s %q is %q in the cache and %q in the database", f.field, database.Kind, database.Name, f.cache, f.database))
		}
	}
	return out
}

func byID(offers []broker.Offer) map[string]broker.Offer {
	m := make(map[string]broker.Offer, len(offers))
	for _, o := range offers {
		m[o.ID.String()] = o
	}
	return m
}

func inOrder(maps ...map[string]broker.Offer) (ids []string) {
	for _, m := range maps {
		for id := range m {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// compareDesktops says how a desktop of the user's own differs: where a client is sent.
func compareDesktops(cache, database []broker.Candidate) (out []string) {
	if len(cache) != 1 || len(database) != 1 {
		return []string{fmt.Sprintf("%d desktops in the cache, %d in the database", len(cache), len(database))}
	}
	c, d := cache[0], database[0]
	c.Alive, d.Alive = false, false // as of now
	if c != d {
		out = append(out, fmt.Sprintf("desktop %q is %s:%d (%s) in the cache and %s:%d (%s) in the database", d.Name, c.Host, c.Port, c.Protocol, d.Host, d.Port, d.Protocol))
	}
	return out
}
