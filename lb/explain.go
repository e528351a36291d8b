package lb

import (
	"net/netip"
	"time"

	"switchpoint/healthcheck"
)

// Explanation is why a client gets the member that it would get now (LB8).
type Explanation struct {
	Listener string `json:"listener"`
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

// Explain answers for a client as if its request arrived now. It changes nothing. Without a
// table or for an unknown listener, Reason says so.
func (p *Proxy) Explain(listener string, client netip.Addr) Explanation {
	e := Explanation{Listener: listener, Client: client.String(), Reason: "there is no such listener"}
	live := p.live.Load()
	if live == nil {
		e.Reason = "no configuration is in force yet"
		return e
	}
	for _, l := range live.listeners {
		if l.name == listener {
			p.explain(&e, l.pool, client.Unmap().WithZone(""))
		}
	}
	return e
}

func (p *Proxy) explain(e *Explanation, lp *livePool, client netip.Addr) {
	now := p.now()
	var q Question
	lp.fill(&q, p.snapshot(), now)
	q.Draw = lp.draws.Load() + 1
	q.Persisted = -1
	if lp.persist {
		if id, left, ok := lp.stick.peek(client, time.Duration(now)); ok {
			q.Persisted = lp.indexOf(id)
			e.PersistedFor = left
		}
	}
	chosen, reason := Pick(&q)
	e.Pool, e.Method = lp.name, lp.method
	e.Reason, e.Serving = reason.How.String(), reason.Serving
	serving, _ := healthcheck.Serving(nil, q.States)
	field := fieldOf(&q, serving)
	for i, m := range lp.members {
		load := q.Loads[i]
		e.Members = append(e.Members, CandidateExplanation{
			Name: m.name, Address: m.address,
			State: q.States[i].State.String(), Why: q.States[i].Reason,
			Weight: lp.weights[i], InFlight: load.InFlight, TTFB: load.TTFB, Penalty: load.Penalty,
			Shunned: load.Shunned, Persisted: i == q.Persisted,
			Cost: Cost(load, lp.weights[i], field) / float64(time.Second),
		})
	}
	if chosen >= 0 {
		e.Member = lp.members[chosen].name
	}
}
