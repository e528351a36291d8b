package steer

import (
	"testing"
)

// TestHoldOutlivesTheDocument: the operators' document was lost with its versions and begins anew. A
// release in the new one ends a hold that began under a later version; the old one, when another node
// has it, with what it released before does not.
func TestHoldOutlivesTheDocument(t *testing.T) {
	p := newPlay(t, cb(pools(1, 1), manual))
	p.said.Version, p.said.Releases = 57, []Release{{Pattern: "*", Version: 56}}
	p.direct()
	p.set(down, "us").direct()
	p.set(up, "us").direct()
	old := p.said
	p.said = Operator{}
	p.restart().direct()
	p.want("us:manual resume; uk:in 1")
	p.said = old
	p.direct()
	p.want("us:manual resume; uk:in 1")
	p.said = Operator{}
	p.direct()
	p.release("cb.c/us").direct()
	p.want("us:in 1; uk:in 1")
}

// TestFirstViewTellsOnlyFaults: at a start where everything is well the log has no warning, with
// datacenters of the other mode neither; one that is down is told of.
func TestFirstViewTellsOnlyFaults(t *testing.T) {
	p := newPlay(t, cb(pools(1, 1), byMode))
	for range 2 {
		p.set(noIdea, "us", "uk").direct()
		if e := p.view.Events(); len(e) != 0 {
			t.Errorf("nothing is known: %+v", e)
		}
		p.set(up, "us", "uk").direct()
		if e := p.view.Events(); len(e) != 0 {
			t.Errorf("all is well: %+v", e)
		}
		p.restart()
	}
	p.mode(ModeDR).direct()
	for _, e := range p.view.Events() {
		if e.Bad != (e.Datacenter == "") { // the switch itself is worth a warning, what follows from it is not
			t.Errorf("after a switch: %+v", e)
		}
	}
	q := newPlay(t, cb(pools(1, 1), byMode))
	q.set(down, "us").direct()
	if e := q.view.Events(); len(e) == 0 || e[0].What != "pool is out" || !e[0].Bad {
		t.Errorf("us is down: %+v", e)
	}
}

// TestNothingIsKnownAgain: after a restart, or a reload that gives the monitor another name, no state is
// known for a moment. What was out then is answered only where nothing else is left.
func TestNothingIsKnownAgain(t *testing.T) {
	for _, change := range []func(*Name){func(*Name) {}, manual, failback} {
		p := newPlay(t, cb(pools(2, 2, 1), noLimit, change))
		p.direct()
		p.set(down, "us", "uk2").direct()
		p.set(noIdea, "us", "uk", "de").direct()
		p.want("us:unknown; uk:unknown! 1; de:unknown! 1")
		p.restart().direct()
		p.want("us:unknown; uk:unknown! 1; de:unknown! 1")
		p.set(down, "uk", "de").direct()
		p.want("us:unknown! 1,2; uk:down; de:down")
	}
}
