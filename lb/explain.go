package lb

import (
	"net/netip"
	"strings"
	"time"

	"switchpoint/lb/choice"
)

// Explanation is why a client gets the member that it would get now (LB8).
type Explanation struct {
	Listener string `json:"listener"`
	Mode     string `json:"mode"` // of the listener: http or tcp
	// Route is what the listener did with host and path: the route's own, or "default".
	Route string `json:"route"`
	// Redirect is where the request is sent instead of a pool.
	Redirect string `json:"redirect,omitempty"`
	Pool     string `json:"pool"`
	// Instead is the pool in the place of which Pool serves, as its backup_pool; else empty.
	Instead string `json:"instead,omitempty"`
	Method  string `json:"method"`
	// Class is the class of requests whose averages decide, by the path: as if its method were used.
	Class  string `json:"class"`
	Client string `json:"client"`
	// Member is the chosen member's name, empty when there is none.
	Member string `json:"member"`
	// Reason is the rule that chose it, Serving who was allowed to be chosen.
	Reason  string `json:"reason"`
	Serving string `json:"serving"`
	// Persistence is how the pool knows clients again, and what that says of this one.
	Persistence string `json:"persistence"`
	// PersistedFor is what is left of the client's persistence, 0 without.
	PersistedFor time.Duration          `json:"persisted_for"`
	Queued       int64                  `json:"queued"` // requests that wait for a place in the pool
	Members      []CandidateExplanation `json:"members"`
}

// CandidateExplanation is one member as the decision saw it.
type CandidateExplanation struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	State   string `json:"state"`
	Why     string `json:"why"` // of the state
	// Mode is in which mode it says that it works, since ModeSince; empty: it says none.
	Mode      string        `json:"mode,omitempty"`
	ModeSince time.Time     `json:"mode_since,omitzero"`
	Weight    int           `json:"weight"`
	AsksFor   int           `json:"asks_for,omitempty"` // percent of it, by the member's agent; 0: it says nothing
	InFlight  int64         `json:"in_flight"`
	TTFB      time.Duration `json:"ttfb"`
	// Failing is the part of its latest requests that failed, 0 to 1; it fades with time.
	Failing   float64 `json:"failing"`
	Shunned   bool    `json:"shunned"`
	Persisted bool    `json:"persisted"`
	Full      bool    `json:"full"` // it has as many requests as it may have
	Priority  int     `json:"priority"`
	// Back is how long the member can serve again, while its share still grows (slow_start).
	Back time.Duration `json:"back"`
	// Measured is the health that the word of an operator stands before; empty: State is it.
	Measured string `json:"measured,omitempty"`
	Words    []Word `json:"words,omitempty"` // that hold
	// Standing is how far the member comes in the choice for a client that nothing binds.
	Standing string `json:"standing"`
	// Waiting are the requests that wait for a place at this very member.
	Waiting int64 `json:"waiting"`
	// Cost is what the method compares, the lowest wins: seconds under the methods that go by
	// response time, else requests in flight for the weight; 0 where nothing is compared. CostText
	// is it in words. Under least-response-time those within a tenth of the lowest take turns.
	Cost     float64 `json:"cost"`
	CostText string  `json:"cost_text,omitempty"`
}

// Explain answers for a client of the listener's own pool as if its request arrived now. It
// changes nothing. Without a table or for an unknown listener, Reason says so.
func (p *Proxy) Explain(listener string, client netip.Addr) Explanation {
	return p.ExplainRequest(listener, client, "", "")
}

// ExplainRequest does so for a request with a Host and a path, either of which may be empty. For a
// tcp listener host is the name that the client asks for in TLS.
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
		if e.Reason, e.Mode = "", modeHTTP; l.tcp {
			e.Mode = modeTCP
		}
		if lp := l.explainRoute(&e, host, path); lp != nil {
			p.explain(&e, lp, client.Unmap().WithZone(""), path)
		}
	}
	return e
}

// explainName tells where a tcp listener sends a client that asks for a name (SNI), as
// tcpSession.route does; empty: it asks for none, or does not speak TLS.
func (l *liveListener) explainName(e *Explanation, name, path string) *livePool {
	if path != "" || strings.ContainsAny(name, ":/") {
		e.Reason = "a tcp listener knows names only: write the one that the client asks for in TLS, without port and path"
		return nil
	}
	var r *pathRoute
	if name != "" {
		r = l.routes.find([]byte(name), nil)
	}
	if e.Route = "default"; r != nil {
		e.Route = strings.TrimSuffix(r.name, "/") + ", by the name in TLS"
	}
	return l.target(r).livePool
}

// explainRoute tells the route and gives its pool; nil where it leads to none.
func (l *liveListener) explainRoute(e *Explanation, host, path string) *livePool {
	if l.tcp {
		return l.explainName(e, host, path)
	}
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

func (p *Proxy) explain(e *Explanation, lp *livePool, client netip.Addr, path string) {
	now := p.now()
	q := choice.Question{Class: lp.classes.find(nil, pathOf([]byte(path)))}
	lp.fill(&q, p.snapshot(), now)
	q.Draw = lp.draws.Load() + 1
	lp.fillMethod(&q, client)
	lp.explainPersistence(e, &q, client, time.Duration(now))
	chosen, reason := choice.Pick(&q)
	if chosen < 0 && !reason.How.Full() && lp.backup != nil {
		if e.Instead == "" {
			e.Instead = lp.name
		}
		p.explain(e, lp.backup, client, path)
		return
	}
	e.Pool, e.Method, e.Class = lp.name, lp.method, lp.classes.name(q.Class)
	e.Reason, e.Serving = reason.How.String(), reason.Serving
	e.Queued = lp.waits.Load()
	serving, _ := q.Serving(nil)
	standings, _ := choice.Standings(&q)
	costs := choice.CostsOf(&q, serving)
	for i, m := range lp.members {
		load, cost := q.Loads[i], 0.0
		if len(costs.Of) > 0 {
			cost = costs.Of[i]
			if costs.Time {
				cost /= float64(time.Second)
			}
		}
		e.Members = append(e.Members, CandidateExplanation{
			Name: m.name, Address: m.address,
			State: q.States[i].State.String(), Why: q.States[i].Reason,
			Mode: q.States[i].Load.Mode, ModeSince: q.States[i].ModeSince,
			Weight: q.Weights[i], AsksFor: q.States[i].Load.Weight, InFlight: load.InFlight, TTFB: load.TTFB, Failing: load.Failing,
			Shunned: load.Shunned, Persisted: i == q.Persisted, Full: load.Full, Priority: lp.priority(i),
			Back: lp.growing(load.Since), Measured: lp.measured(i, p.snapshot()),
			Words: lp.holding(i), Standing: standings[i].String(), Waiting: lp.ups[i].queue.depth.Load(),
			Cost: cost, CostText: costs.Text(i),
		})
	}
	if chosen >= 0 {
		e.Member = lp.members[chosen].name
	}
}
