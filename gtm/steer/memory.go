package steer

import (
	"fmt"
	"slices"
	"time"
)

// Memory is what a director must not forget over a restart of its process: which pools are held or
// wait for their failback, what served last, what is moved elsewhere. History is not part of it.
type Memory struct {
	Version int              `json:"version"` // of the form; MemoryVersion
	Mode    string           `json:"mode"`    // of operation
	Names   []RememberedName `json:"names"`
}

// MemoryVersion is the form of Memory that this program writes and reads.
const MemoryVersion = 1

// RememberedName is a steered name in a Memory.
type RememberedName struct {
	Name    string           `json:"name"`
	Policy  string           `json:"policy,omitempty"`
	Changed time.Time        `json:"changed,omitzero"`
	Ignored []string         `json:"ignored,omitempty"`
	Pools   []RememberedPool `json:"pools"`
}

// RememberedPool is a pool of a RememberedName. Its members are ids, "name/datacenter/address:port".
type RememberedPool struct {
	Datacenter string    `json:"datacenter"`
	In         bool      `json:"in"`
	Since      time.Time `json:"since"`
	Good       []string  `json:"good,omitempty"` // what it served last
	Ill        time.Time `json:"ill,omitzero"`
	Gone       bool      `json:"gone,omitempty"` // out because of its health, and not back yet
	Demoted    time.Time `json:"demoted,omitzero"`
	Well       time.Time `json:"well,omitzero"`
	Held       bool      `json:"held,omitempty"`  // waits for an operator
	Under      uint64    `json:"under,omitempty"` // the operators' document under which that began
	Shed       int       `json:"shed,omitempty"`  // steps of overload shifting
	Stepped    time.Time `json:"stepped,omitzero"`
}

// Memory is what has to be kept of the view. Pools whose health was never known are left out.
func (v *View) Memory() Memory {
	out := Memory{Version: MemoryVersion, Mode: v.operator.mode(), Names: make([]RememberedName, 0, len(v.names))}
	for i, n := range v.table.names {
		past := &v.names[i].past
		r := RememberedName{Name: n.id, Policy: past.policy, Changed: past.changed.UTC(), Ignored: past.ignored}
		for j := range past.pools {
			if past.pools[j].seen {
				r.Pools = append(r.Pools, past.pools[j].remembered(&n.pools[j]))
			}
		}
		if len(r.Pools) > 0 {
			out.Names = append(out.Names, r)
		}
	}
	return out
}

func (p *poolPast) remembered(of *pool) RememberedPool {
	r := RememberedPool{
		Datacenter: of.Datacenter, In: p.took, Since: p.since.UTC(), Ill: p.ill.UTC(), Gone: p.gone,
		Demoted: p.demoted.UTC(), Well: p.well.UTC(), Held: p.held, Under: p.under,
		Shed: p.shed, Stepped: p.stepped.UTC(),
	}
	for _, m := range p.good {
		r.Good = append(r.Good, of.members[m].id)
	}
	slices.Sort(r.Good) // their order follows the load, and is nothing to keep
	return r
}

// Restore gives a view to direct the first one of a process after: it remembers, and has nothing
// that a query could be answered from. A Memory of another version is refused.
func Restore(m Memory) (*View, error) {
	if m.Version != MemoryVersion {
		return nil, fmt.Errorf("the director's memory has version %d, this program reads %d", m.Version, MemoryVersion)
	}
	v := &View{table: &Table{}, operator: &Operator{Mode: m.Mode}}
	for _, r := range m.Names {
		n := &name{id: r.Name}
		past := namePast{policy: r.Policy, changed: r.Changed, ignored: r.Ignored}
		for _, p := range r.Pools {
			of, was := p.restore(n)
			n.pools = append(n.pools, of)
			past.pools = append(past.pools, was)
		}
		v.table.names = append(v.table.names, n)
		v.names = append(v.names, nameView{past: past})
	}
	return v, nil
}

// restore makes a pool that has only what carry looks at.
func (r RememberedPool) restore(n *name) (pool, poolPast) {
	of := pool{Pool: Pool{Datacenter: r.Datacenter}, id: poolID(n, r.Datacenter)}
	was := poolPast{
		seen: true, took: r.In, since: r.Since, ill: r.Ill, gone: r.Gone, demoted: r.Demoted, well: r.Well,
		held: r.Held, under: r.Under, shed: min(max(0, r.Shed), shedMost), stepped: r.Stepped,
	}
	for i, id := range r.Good {
		if !slices.Contains(r.Good[:i], id) {
			of.members = append(of.members, member{id: id})
			was.good = append(was.good, len(was.good))
		}
	}
	return of, was
}
