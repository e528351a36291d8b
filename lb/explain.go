package lb

import (
	"net/netip"
	"time"

	"switchpoint/healthcheck"
	"switchpoint/lb/choice"
)

// Explanation is why a client gets the member that it would get now (LB8).
type Explanation struct {
	Listener string `json:"listener"`
	// Route is what the listener did with host and path: the route's own, or "default".
	Route string `json:"route"`
	// Redirect is where the request is sent instead of a pool.
	Redirect string `json:"redirect,omitempty"`
	Pool     string `json:"pool"`
	Method   string `json:"method"`
	Client   string `json:"client"`
	// Member is the chosen member's name, empty when there is none.
	Member string `json:"member"`
	// Reason is the rule that chose it, Serving who was allowed to be chosen.
	Reason  string `json:"reason"`
	Serving string `json:"serving"`
	// PersistedFor is what is left of the client's persistence, 0 without.
	PersistedFor time.Duration          `json:"persisted_for"`
	Members      []CandidateExplanation `json:"members"`
}

// CandidateExplanation is one member as the decision saw it.
type CandidateExplanation struct {
	Name      string        `json:"name"`
	Address   string        `json:"address"`
	State     string        `json:"state"`
	Why       string        `json:"why"` // of the state
	Weight    int           `json:"weight"`
	InFlight  int64         `json:"in_flight"`
	TTFB      time.Duration `json:"ttfb"`
	Penalty   time.Duration `json:"penalty"`
	Shunned   bool          `json:"shunned"`
	Persisted bool          `json:"persisted"`
	// Cost is TTFB x (1 + in-flight) / weight with all corrections, in seconds. It decides under
	// least-response-time; lowest wins.
	Cost float64 `json:"cost"`
}

// Explain answers for a client of the listener's own pool as if its request arrived now. It
// changes nothing. Without a table or for an unknown listener, Reason says so.
func (p *Proxy) Explain(listener string, client netip.Addr) Explanation {
	return p.ExplainRequest(listener, client, "", "")
}

// ExplainRequest does so for a request with a Host and a path, either of which may be empty.
func (p *Proxy) ExplainRequest(listener string, client netip.Addr, host, path string) Explanation {
	e := Explanation{Listener: listener, Client: client.String(), Reason: "there is no such listener"}
	live := p.live.Load()
	if live == nil {
		e.Reason = "no configuration is in force yet"
		return e
	}
	for _, l := range live.listeners {
		if l.name != listener {
			continue
		}
		if lp := l.explainRoute(&e, host, path); lp != nil {
			p.explain(&e, lp, client.Unmap().WithZone(""))
		}
	}
	return e
}

// explainRoute tells the route and gives its pool; nil where it leads to none.
func (l *liveListener) explainRoute(e *Explanation, host, path string) *livePool {
	if len(host) > 0 && !validAuthority([]byte(host)) || len(path) > 0 && path[0] != '/' {
		e.Reason = "host or path are malformed: such a request is refused"
		return nil
	}
	h := head{host: []byte(host), target: []byte(path)}
	r := l.routes.find(h.host, pathOf(h.target))
	e.Route = "default"
	if r != nil {
		e.Route = r.name
	}
	switch {
	case isAlive(h.target):
		e.Route += ", is_alive: answered here for the pool"
		return l.target(r).livePool
	case l.toHTTPS != nil:
		e.Route, e.Redirect = "redirect_https", string(l.toHTTPS.appendTo(nil, &h))
	case r != nil && r.redirect != nil:
		e.Redirect = string(r.redirect.appendTo(nil, &h))
	default:
		return l.target(r).livePool
	}
	e.Reason = "the request is redirected"
	return nil
}

func (p *Proxy) explain(e *Explanation, lp *livePool, client netip.Addr) {
	now := p.now()
	var q choice.Question
	lp.fill(&q, p.snapshot(), now)
	q.Draw = lp.draws.Load() + 1
	q.Persisted = -1
	if lp.persist {
		if id, left, ok := lp.stick.peek(client, time.Duration(now)); ok {
			q.Persisted = lp.indexOf(id)
			e.PersistedFor = left
		}
	}
	chosen, reason := choice.Pick(&q)
	e.Pool, e.Method = lp.name, lp.method
	e.Reason, e.Serving = reason.How.String(), reason.Serving
	serving, _ := healthcheck.Serving(nil, q.States)
	field := choice.FieldOf(&q, serving)
	for i, m := range lp.members {
		load := q.Loads[i]
		e.Members = append(e.Members, CandidateExplanation{
			Name: m.name, Address: m.address,
			State: q.States[i].State.String(), Why: q.States[i].Reason,
			Weight: lp.weights[i], InFlight: load.InFlight, TTFB: load.TTFB, Penalty: load.Penalty,
			Shunned: load.Shunned, Persisted: i == q.Persisted,
			Cost: choice.Cost(load, lp.weights[i], field) / float64(time.Second),
		})
	}
	if chosen >= 0 {
		e.Member = lp.members[chosen].name
	}
}
