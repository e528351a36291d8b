package steer

import (
	"time"

	"switchpoint/healthcheck"
)

// NameStatus is what a View holds about a steered name, in words: for `switchpoint gtm status` and
// `why`. Texts are for people and may change; the fields are the contract.
type NameStatus struct {
	Name   string `json:"name"`
	Mode   string `json:"mode,omitempty"`   // of operation, for a name with between = "mode"
	Policy string `json:"policy,omitempty"` // the all-down policy in force; empty while something serves
	TTL    uint32 `json:"ttl"`              // seconds
	TTLWhy string `json:"ttl_why"`
	// Ignored are the operators' overrides that are not applied to this name, each with the reason.
	Ignored []string     `json:"ignored,omitempty"`
	Pools   []PoolStatus `json:"pools"`
}

// PoolStatus is one pool in a NameStatus.
type PoolStatus struct {
	Datacenter string    `json:"datacenter"`
	In         bool      `json:"in"`            // takes part in the choice between pools
	Rule       string    `json:"rule"`          // what decided that, in one of the words of the director's truth table
	Why        string    `json:"why,omitempty"` // in a sentence; empty for a pool that just serves
	Serves     string    `json:"serves"`        // why these members serve
	Since      time.Time `json:"since,omitzero"`
	Held       bool      `json:"held,omitempty"` // an operator has to release it (manual_resume)
	Shed       float64   `json:"shed"`           // share of its clients that goes elsewhere, 0 to 1
	ShedWhy    string    `json:"shed_why,omitempty"`

	Members []MemberStatus `json:"members"`
	Changes []Change       `json:"changes,omitempty"` // in and out, the newest last, at most 10
}

// MemberStatus is one member in a PoolStatus.
type MemberStatus struct {
	ID      string            `json:"id"` // "name/datacenter/address:port", as operators' patterns name it
	State   healthcheck.State `json:"state"`
	Reason  string            `json:"reason"`
	Since   time.Time         `json:"since,omitzero"` // of the state
	Spare   int               `json:"spare"`          // capacity left; -1 when it does not say
	Mode    string            `json:"mode,omitempty"` // in which it says that it works, since ModeSince
	Serving bool              `json:"serving"`        // may be answered

	ModeSince time.Time `json:"mode_since,omitzero"`
}

// Change is one time that a pool went in or out.
type Change struct {
	At  time.Time `json:"at"`
	In  bool      `json:"in"`
	Why string    `json:"why"`
}

// Names gives the status of every name, in the order of the configuration.
func (v *View) Names() []NameStatus {
	out := make([]NameStatus, len(v.names))
	for i := range v.names {
		out[i] = v.Name(i)
	}
	return out
}

// Name gives the status of one name. i is its index in the configuration.
func (v *View) Name(i int) NameStatus {
	n, s := v.table.names[i], &v.names[i]
	out := NameStatus{
		Name: n.id, Policy: s.policy, TTL: s.ttl, TTLWhy: s.ttlWhy, Ignored: s.ignored,
		Pools: make([]PoolStatus, len(s.pools)),
	}
	if n.Between == BetweenMode {
		out.Mode = v.operator.mode()
	}
	for j := range s.pools {
		out.Pools[j] = s.pools[j].describe(&n.pools[j], &s.past.pools[j])
	}
	return out
}

func (v *poolView) describe(p *pool, past *poolPast) PoolStatus {
	out := PoolStatus{
		Datacenter: p.Datacenter, In: v.in, Rule: v.verdict.String(), Why: v.why, Serves: v.rule,
		Since: past.since, Held: past.gone && past.held, Shed: v.shed, Changes: past.changes, Members: make([]MemberStatus, len(p.members)),
	}
	if v.shed > 0 {
		out.ShedWhy = v.cause.String()
	}
	for m, st := range v.status {
		out.Members[m] = MemberStatus{
			ID: p.members[m].id, State: st.State, Reason: st.Reason, Since: st.Since, Spare: st.Load.Spare(),
			Mode: st.Load.Mode, ModeSince: st.ModeSince,
		}
	}
	for _, m := range v.serving {
		out.Members[m].Serving = true
	}
	return out
}
