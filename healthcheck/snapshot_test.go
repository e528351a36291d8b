package healthcheck

import (
	"testing"
	"time"
)

func snapshotOf(states ...Status) *Snapshot {
	var changed []*check
	for i, s := range states {
		changed = append(changed, &check{ref: Ref(i), status: s})
	}
	return (&Snapshot{}).with(changed)
}

func TestSnapshotGetBeyondIsUnknown(t *testing.T) {
	var none *Snapshot
	for _, got := range []Status{none.Get(0), (&Snapshot{}).Get(3), snapshotOf(Status{State: Up}).Get(pageSize), snapshotOf(Status{State: Up}).Get(NoRef), snapshotOf(Status{State: Up}).Get(1)} {
		if got.State != Unknown || got.Load != noLoad {
			t.Errorf("got %+v", got)
		}
	}
}

func TestSnapshotSharesPages(t *testing.T) {
	big := &check{ref: 3*pageSize + 1, status: Status{State: Up}}
	first := (&Snapshot{}).with([]*check{big})
	low := &check{ref: 5, status: Status{State: Down}}
	low2 := &check{ref: 6, status: Status{State: Up}}
	second := first.with([]*check{low, low2})
	if second.Seq() != first.Seq()+1 || len(second.pages) != 4 {
		t.Errorf("seq %d, %d pages", second.Seq(), len(second.pages))
	}
	if first.Get(5).State != Unknown || second.Get(5).State != Down || second.Get(6).State != Up || second.Get(big.ref).State != Up {
		t.Error("a published snapshot changed, or the new one lost something")
	}
	if first.pages[0] == second.pages[0] || first.pages[1] != second.pages[1] || first.pages[3] != second.pages[3] {
		t.Error("not just the changed page was copied")
	}
}

func TestMember(t *testing.T) {
	at := func(s int) time.Time { return moment.Add(time.Duration(s) * time.Second) }
	s := snapshotOf(
		Status{State: Up, Reason: "u0", At: at(1), Load: noLoad},                                                // 0
		Status{State: Up, Reason: "u1", At: at(9), TTFB: 7, Load: Load{Active: 1, Capacity: 2, Mode: "normal"}}, // 1
		Status{State: Overloaded, Reason: "o2", Since: at(4), Load: noLoad},                                     // 2
		Status{State: Down, Reason: "d3", Since: at(5), Load: noLoad},                                           // 3
		Status{State: Down, Reason: "d4", Load: noLoad},                                                         // 4
		Status{State: Draining, Reason: "drain5", Load: noLoad},                                                 // 5
		Status{State: Maintenance, Reason: "maint6", Load: noLoad},                                              // 6
	)
	const unknown = 99
	f := func(minimum int, refs []Ref, state State, reason string) {
		t.Helper()
		got := s.Member(Member{Refs: refs, Min: minimum})
		if got.State != state || got.Reason != reason {
			t.Errorf("min %d of %v: %s (%s), want %s (%s)", minimum, refs, got.State, got.Reason, state, reason)
		}
	}
	f(0, nil, Up, "not monitored")
	f(0, []Ref{3}, Down, "d3")
	f(0, []Ref{0, 1}, Up, "u0")
	f(9, []Ref{0, 1}, Up, "u0")
	f(0, []Ref{0, 3, 4}, Down, "d3")
	f(1, []Ref{3, 1, 4}, Up, "u1")
	f(2, []Ref{0, 2, 3}, Overloaded, "o2")
	f(2, []Ref{0, unknown, 3}, Unknown, notYet)
	f(0, []Ref{0, unknown, 3}, Down, "d3")
	f(0, []Ref{0, 5}, Draining, "drain5")
	f(0, []Ref{0, 5, 6}, Maintenance, "maint6")
	f(0, []Ref{3, 5, 6}, Down, "d3")
	got := s.Member(Member{Refs: []Ref{0, 1}})
	if !got.At.Equal(at(9)) || got.TTFB != 7 || got.Load.Capacity != 2 {
		t.Errorf("facts: %+v", got)
	}
	if n := testing.AllocsPerRun(100, func() { s.Member(Member{Refs: []Ref{0, 1, 2}, Min: 2}) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
