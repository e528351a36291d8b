package steer

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"switchpoint/healthcheck"
)

// play is a director under test: made-up health, a made-up clock, one view after the other.
type play struct {
	t      testing.TB
	table  *Table
	view   *View
	start  time.Time
	now    time.Time
	keys   []healthcheck.Key
	health map[string]healthcheck.Status // by "address:port"; up where there is none
	said   Operator
}

// newPlay compiles names over the datacenters us, uk and de.
func newPlay(t testing.TB, names ...Name) *play {
	p := &play{t: t, health: map[string]healthcheck.Status{}}
	p.start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	p.now = p.start
	p.load(names...)
	return p
}

// load is a reload.
func (p *play) load(names ...Name) {
	p.t.Helper()
	var err error
	p.table, err = Compile(names, []string{"us", "uk", "de"}, func(k healthcheck.Key) healthcheck.Ref {
		if i := slices.Index(p.keys, k); i >= 0 {
			return healthcheck.Ref(i)
		}
		p.keys = append(p.keys, k)
		return healthcheck.Ref(len(p.keys) - 1)
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

// pools makes a pool of so many monitored members in each of us, uk and de. Those of us are
// 10.0.0.1:443 and so on, those of uk 10.1.0.1:443.
func pools(members ...int) []Pool {
	var out []Pool
	for i, n := range members {
		p := Pool{Datacenter: []string{"us", "uk", "de"}[i]}
		for j := range n {
			p.Members = append(p.Members, Member{Address: fmt.Sprintf("10.%d.0.%d", i, j+1), Port: 443})
		}
		out = append(out, p)
	}
	return out
}

// cb is a name over pools.
func cb(p []Pool, change ...func(*Name)) Name {
	n := Name{Name: "cb.c", Monitor: "m", TTL: 30 * time.Second, Pools: p}
	for _, c := range change {
		c(&n)
	}
	return n
}

// set gives members a state: "us" are all of the datacenter, "us1" the first of them.
func (p *play) set(state healthcheck.State, which ...string) *play {
	return p.give(healthcheck.Status{State: state, Steady: healthcheck.MaxSteady, Load: healthcheck.Load{Active: -1, Capacity: -1}}, which...)
}

func (p *play) give(st healthcheck.Status, which ...string) *play {
	p.t.Helper()
	if st.Reason == "" {
		st.Reason = "said by the test"
	}
	for _, w := range which {
		hit := false
		for i, dc := range []string{"us", "uk", "de"} {
			if !strings.HasPrefix(w, dc) {
				continue
			}
			for _, k := range p.keys {
				at := fmt.Sprintf("10.%d.0.%s", i, w[2:])
				if w[2:] == "" && strings.HasPrefix(k.Address, at) || k.Address == at+":443" {
					p.health[k.Address], hit = st, true
				}
			}
		}
		if !hit {
			p.t.Fatalf("no member is called %q", w)
		}
	}
	return p
}

func (p *play) status(r healthcheck.Ref) healthcheck.Status {
	if st, ok := p.health[p.keys[r].Address]; ok {
		return st
	}
	return healthcheck.Status{State: healthcheck.Up, Steady: healthcheck.MaxSteady, Load: healthcheck.Load{Active: -1, Capacity: -1}}
}

// direct makes the view of now.
func (p *play) direct() *View {
	said := p.said
	p.view = Direct(p.table, p.view, Circumstances{Status: p.status, Operator: &said, Now: p.now})
	return p.view
}

// at makes the view at a time after the start, and every view that is due until then.
func (p *play) at(after time.Duration) *View {
	p.t.Helper()
	to := p.start.Add(after)
	for n := 0; p.view != nil && !p.view.Due().IsZero() && !p.view.Due().After(to); n++ {
		if p.now = p.view.Due(); n > 100000 {
			p.t.Fatal("a view is due again and again")
		}
		p.direct()
	}
	p.now = to
	return p.direct()
}

// force says something, release takes it back and ends holds.
func (p *play) force(pattern, state string, change ...func(*Override)) *play {
	v := Override{Pattern: pattern, State: state, Note: Note{Owner: "ann", Reason: "test", At: p.now}}
	for _, c := range change {
		c(&v)
	}
	p.said.Version++
	p.said.Overrides = append(slices.Clone(p.said.Overrides), v)
	return p
}

func (p *play) release(pattern string) *play {
	p.said.Version++
	p.said.Overrides = slices.DeleteFunc(slices.Clone(p.said.Overrides), func(v Override) bool { return v.Pattern == pattern })
	p.said.Releases = append(slices.Clone(p.said.Releases), Release{Pattern: pattern, Version: p.said.Version})
	return p
}

func (p *play) mode(mode string) *play {
	p.said.Version++
	p.said.Mode = mode
	return p
}

// lineUp is a name's pools in a few words: "us:in 1,2 uk:down".
func lineUp(v *View, i int) string {
	var out []string
	for j, pool := range v.Name(i).Pools {
		text := pool.Datacenter + ":" + pool.Rule
		if strings.HasPrefix(pool.Why, "last resort") {
			text += "!"
		}
		for k, s := range v.names[i].pools[j].serving {
			text += map[bool]string{true: " ", false: ","}[k == 0] + fmt.Sprint(s+1)
		}
		if pool.In != (len(v.names[i].pools[j].serving) > 0) {
			text += " in and serving disagree"
		}
		out = append(out, text)
	}
	if policy := v.Name(i).Policy; policy != "" {
		out = append(out, "policy:"+policy)
	}
	return strings.Join(out, "; ")
}

// want compares what is shown of the first name.
func (p *play) want(want string) {
	p.t.Helper()
	if got := lineUp(p.view, 0); got != want {
		p.t.Errorf("at %s: got  %s\n                want %s\nwhy: %+v", p.now.Sub(p.start), got, want, p.view.Name(0).Pools)
	}
}
