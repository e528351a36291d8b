package broker

import "slices"

// The orders in which free desktops of a pool are given out.
const (
	OrderPrevious = "favor-previous"      // the one that the user had last, else any
	OrderRandom   = "random"              // any
	OrderLRU      = "least-recently-used" // the one that has been free for the longest time
	OrderRunning  = "running-first"       // one that runs, else any
)

func offerOrders() []string { return []string{OrderPrevious, OrderRandom, OrderLRU, OrderRunning} }

// OfferOrder is the order of the session's policy.
func (s Session) OfferOrder() string {
	for _, g := range s.Grants {
		if g.Order != "" {
			return g.Order
		}
	}
	return OrderPrevious
}

// MaxSessions is how many pooled desktops the policy lets the user hold at once; 0: no bound.
func (s Session) MaxSessions() int {
	for _, g := range s.Grants {
		if g.MaxSessions > 0 {
			return g.MaxSessions
		}
	}
	return 0
}

// protocolOf is the protocol that the policy prescribes for a pool; "" for none.
func protocolOf(grants []Grant, pool string) string {
	for _, g := range grants {
		if g.Pool == pool {
			return g.Protocol
		}
	}
	return ""
}

// arrange makes the list that a user is shown of what the store offers: desktops that he holds come
// first (BR6), the others keep their order; beyond the session limit nothing more is available; the
// policy's protocol replaces that of the desktop. It is pure.
func arrange(offers []Offer, s Session) []Offer {
	out := slices.Clone(offers)
	held := 0
	for i := range out {
		if p := protocolOf(s.Grants, out[i].Pool); p != "" {
			out[i].Protocol = p
		}
		if out[i].Kind == KindPooled && out[i].State == OfferRunning {
			held++
		}
	}
	limit := s.MaxSessions()
	for i := range out {
		if o := &out[i]; limit > 0 && held >= limit && o.Kind == KindPooled && o.State == OfferAvailable {
			o.State = OfferUnavailable
		}
	}
	slices.SortStableFunc(out, func(a, b Offer) int { return runs(b) - runs(a) })
	return out
}

func runs(o Offer) int {
	if o.State == OfferRunning {
		return 1
	}
	return 0
}

// override gives a desktop the protocol of the policy, with that protocol's port unless it is the
// desktop's own protocol.
func (t *table) override(c Candidate, grants []Grant) Candidate {
	if p := protocolOf(grants, c.Pool); p != "" && p != c.Protocol {
		c.Protocol, c.Port = p, t.ports[p]
	}
	return c
}
