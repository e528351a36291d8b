package steer

import (
	"encoding/json"
	"testing"
	"time"
)

// restart makes the next view come after what is kept of this one.
func (p *play) restart() *play {
	p.t.Helper()
	b, err := json.Marshal(p.view.Memory())
	if err != nil {
		p.t.Fatal(err)
	}
	var m Memory
	if err := json.Unmarshal(b, &m); err != nil {
		p.t.Fatal(err)
	}
	if p.view, err = Restore(m); err != nil {
		p.t.Fatal(err)
	}
	return p
}

// TestMemory: holds, failback delays, last-good members, slots and shares outlive a restart and a
// reload that moves names, pools and members about.
func TestMemory(t *testing.T) {
	again := map[string]func(*play, ...Name){
		"restart": func(p *play, _ ...Name) { p.restart() },
		"reload":  func(p *play, n ...Name) { p.load(n...) },
		"both":    func(p *play, n ...Name) { p.restart().load(n...) },
	}
	for how, f := range again {
		t.Run(how, func(t *testing.T) {
			other := cb(pools(1, 1, 1))
			other.Name = "other.c"

			p := newPlay(t, cb(pools(2, 1), manual), other)
			p.direct()
			p.set(down, "us").direct()
			p.set(up, "us").direct()
			f(p, other, cb(pools(2, 1), manual))
			p.direct()
			if got := lineUp(p.view, p.index("cb.c")); got != "us:manual resume; uk:in 1" {
				t.Errorf("hold: %s", got)
			}

			p = newPlay(t, cb(pools(2, 1), failback), other)
			p.direct()
			p.set(down, "us").direct()
			p.set(up, "us").direct()
			p.at(5 * time.Minute)
			f(p, other, cb(pools(2, 1), failback))
			p.at(10*time.Minute - 1)
			if got := lineUp(p.view, p.index("cb.c")); got != "us:failback delay; uk:in 1" {
				t.Errorf("failback: %s", got)
			}
			p.at(10 * time.Minute)
			if got := lineUp(p.view, p.index("cb.c")); got != "us:in 1,2; uk:in 1" {
				t.Errorf("after the failback delay: %s", got)
			}

			p = newPlay(t, cb(pools(3, 1)))
			p.set(down, "us2", "uk").direct()
			members := cb(pools(3, 1))
			m := members.Pools[0].Members
			m[0], m[2] = m[2], m[0]
			f(p, members)
			p.set(noIdea, "us", "uk").direct() // until the first round of probes is over
			p.set(down, "us", "uk").direct()
			p.want("us:down 1,3; uk:down; policy:last-good")

			p = newPlay(t, cb(pools(1, 1, 1)))
			p.direct()
			p.set(down, "us").direct()
			f(p, cb(pools(1, 1, 1)))
			p.set(noIdea, "us", "uk", "de").direct()
			p.set(down, "us", "uk").set(up, "de").direct()
			p.want("us:down; uk:demotion limit 1; de:in 1")

			p = newPlay(t, cb(pools(1, 1)))
			p.set(overloaded, "us").direct()
			p.at(time.Minute)
			f(p, cb(pools(1, 1)))
			p.direct()
			p.sheds(0.2, 0)
			p.ttl(5, "20 % of its clients go elsewhere")
		})
	}
}

func (p *play) index(name string) int {
	for i, n := range p.table.names {
		if n.id == name {
			return i
		}
	}
	p.t.Fatalf("no name %s", name)
	return -1
}

// TestMemoryForgets: what was removed from the configuration, and times to come: the clock was
// put back.
func TestMemoryForgets(t *testing.T) {
	p := newPlay(t, cb(pools(1, 1), failback))
	p.direct()
	p.set(down, "us").direct()
	p.set(up, "us").direct()
	p.now = p.now.Add(-24 * time.Hour)
	p.restart().direct()
	p.start = p.now
	p.at(10 * time.Minute)
	p.want("us:in 1; uk:in 1")

	q := newPlay(t, cb(pools(1, 1), manual))
	q.direct()
	q.set(down, "us").direct()
	q.set(up, "us").direct()
	q.load(cb(pools(1)[:0]))
	q.direct()
	q.load(cb(pools(1, 1), manual))
	q.direct()
	q.want("us:in 1; uk:in 1")
}

// TestMemoryVersion: a memory of another form is refused, not guessed at.
func TestMemoryVersion(t *testing.T) {
	if _, err := Restore(Memory{}); err == nil {
		t.Error("a memory without a version was taken")
	}
	v := newPlay(t, cb(pools(1))).direct()
	if m := v.Memory(); m.Version != MemoryVersion || len(m.Names) != 1 {
		t.Errorf("%+v", m)
	}
}

// TestHistory: since when, and the last ten changes with their reasons.
func TestHistory(t *testing.T) {
	p := newPlay(t, cb(pools(1, 1), noLimit))
	p.direct()
	for i := range 8 {
		p.at(time.Duration(2*i+1) * time.Minute)
		p.set(down, "us").direct()
		p.direct()
		p.at(time.Duration(2*i+2) * time.Minute)
		p.set(up, "us").direct()
	}
	us := p.view.Name(0).Pools[0]
	if len(us.Changes) != 10 || us.Since != p.now || !us.In {
		t.Fatalf("%+v", us)
	}
	last, before := us.Changes[9], us.Changes[8]
	if !last.In || last.At != p.now || before.In || before.At != p.now.Add(-time.Minute) || before.Why != "none can serve: all are down, draining or in maintenance" {
		t.Errorf("%+v", us.Changes)
	}
	if e := p.view.Events(); len(e) != 1 || e[0].What != "pool is in" || e[0].Datacenter != "us" {
		t.Errorf("events %+v", e)
	}
	if e := p.direct().Events(); len(e) != 0 {
		t.Errorf("told twice: %+v", e)
	}
	if uk := p.view.Name(0).Pools[1]; len(uk.Changes) != 0 || uk.Since != p.start {
		t.Errorf("uk: %+v", uk)
	}
}
