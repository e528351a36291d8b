package nodes

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"switchpoint/gtm/steer"
	"switchpoint/healthcheck"
)

func watching(n int) *watch {
	checks := make(map[healthcheck.Key]healthcheck.Ref)
	for i := range n {
		checks[key(i)] = healthcheck.Ref(i)
	}
	return newWatch(checks)
}

func tells(i int, s healthcheck.State) wireStatus {
	return vote{state: s, load: noLoad}.toWire(key(i), at(0))
}

func TestInbox(t *testing.T) {
	w := watching(2)
	b := inbox{votes: make([]vote, 2)}
	type step struct {
		name    string
		r       report
		answer  reportAnswer
		changed bool
		votes   [2]healthcheck.State
	}
	for _, s := range []step{
		{"a change to nothing", report{Start: 1, Seq: 5, Base: 4}, reportAnswer{Full: true}, false, [2]healthcheck.State{}},
		{"all, first part", report{Start: 1, Seq: 5, Parts: 2, Checks: []wireStatus{tells(0, up)}}, reportAnswer{}, false, [2]healthcheck.State{}},
		{"all, last part", report{Start: 1, Seq: 5, Part: 1, Parts: 2, Checks: []wireStatus{tells(1, down), tells(7, down)}}, reportAnswer{Seen: 5}, true, [2]healthcheck.State{up, down}},
		{"nothing new", report{Start: 1, Seq: 5, Base: 5, Parts: 1}, reportAnswer{Seen: 5}, false, [2]healthcheck.State{up, down}},
		{"a change", report{Start: 1, Seq: 6, Base: 5, Parts: 1, Checks: []wireStatus{tells(1, up)}}, reportAnswer{Seen: 6}, true, [2]healthcheck.State{up, up}},
		{"the same again, late", report{Start: 1, Seq: 6, Base: 5, Parts: 1, Checks: []wireStatus{tells(1, down)}}, reportAnswer{Seen: 6}, false, [2]healthcheck.State{up, up}},
		{"an old full one, late", report{Start: 1, Seq: 5, Parts: 1}, reportAnswer{Seen: 6}, false, [2]healthcheck.State{up, up}},
		{"a gap", report{Start: 1, Seq: 9, Base: 8, Parts: 1}, reportAnswer{Seen: 6, Full: true}, false, [2]healthcheck.State{up, up}},
		{"a part without the first", report{Start: 1, Seq: 9, Base: 6, Part: 1, Parts: 2}, reportAnswer{Seen: 6, Full: true}, false, [2]healthcheck.State{up, up}},
		{"blind", report{Start: 1, Seq: 6, Base: 6, Parts: 1, Blind: true}, reportAnswer{Seen: 6}, true, [2]healthcheck.State{up, up}},
		{"all again, less than before", report{Start: 1, Seq: 7, Parts: 1, Blind: true, Checks: []wireStatus{tells(0, up)}}, reportAnswer{Seen: 7}, true, [2]healthcheck.State{up, unknown}},
		{"too much", report{Start: 1, Seq: 8, Base: 7, Parts: 1, Blind: true, Checks: []wireStatus{tells(0, up), tells(0, up), tells(0, up)}}, reportAnswer{Seen: 7, Full: true}, false, [2]healthcheck.State{up, unknown}},
		{"a restart", report{Start: 2, Seq: 2, Base: 1, Parts: 1}, reportAnswer{Full: true}, true, [2]healthcheck.State{}},
	} {
		answer, changed := b.take(&s.r, w, at(0))
		if answer != s.answer || changed != s.changed || b.votes[0].state != s.votes[0] || b.votes[1].state != s.votes[1] {
			t.Errorf("%s: %+v, changed %v, %v %v", s.name, answer, changed, b.votes[0].state, b.votes[1].state)
		}
	}
}

func TestInboxFollowsTheWatch(t *testing.T) {
	w := watching(2)
	b := inbox{votes: make([]vote, 2)}
	b.take(&report{Start: 1, Seq: 1, Parts: 1, Checks: []wireStatus{tells(0, up), tells(1, down)}}, w, at(0))
	less := newWatch(map[healthcheck.Key]healthcheck.Ref{key(1): 9})
	b.rewatch(w, less)
	if len(b.votes) != 1 || b.votes[0].state != down || b.seq != 1 {
		t.Errorf("with less to watch: %+v", b)
	}
	b.rewatch(less, w)
	if len(b.votes) != 2 || b.votes[1].state != down || b.seq != 0 {
		t.Errorf("with more to watch: %+v", b)
	}
	if answer, _ := b.take(&report{Start: 1, Seq: 1, Base: 1, Parts: 1}, w, at(0)); !answer.Full {
		t.Error("what is new to it is not asked for")
	}
}

func TestInTouch(t *testing.T) {
	var b inbox
	if b.live(at(0), time.Second) {
		t.Error("in touch with a node that was never heard of")
	}
	b.heard = at(0)
	for _, tc := range []struct {
		theirs time.Duration
		now    int
		want   bool
	}{{0, 2, true}, {0, 3, false}, {2 * time.Second, 5, true}, {2 * time.Second, 6, false}, {time.Millisecond, 2, true}} {
		b.interval = tc.theirs
		if got := b.live(at(tc.now), time.Second); got != tc.want {
			t.Errorf("%d s after its last report, every %s: %v", tc.now, tc.theirs, got)
		}
	}
}

// Whatever gets lost, comes late or is repeated, and however often the sender starts anew: once a
// report has been answered, the receiver knows just what the sender sees.
func TestReportsConverge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const n = 4
		w := watching(n)
		b := inbox{votes: make([]vote, n)}
		mine := own{}
		mine.reset(w)
		var start, acked uint64 = 1, 0
		var late []report
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0, 1: // the sender sees something new
				mine.seq++
				i := rapid.IntRange(0, n-1).Draw(t, "check")
				mine.votes[i].state = healthcheck.State(rapid.IntRange(0, int(maintenance)).Draw(t, "state"))
				mine.changed[i] = mine.seq
			case 2: // it starts anew
				start++
				acked = 0
				states := mine.votes
				mine = own{}
				mine.reset(w)
				for i := range states {
					mine.votes[i].state = states[i].state
				}
			case 3: // an old report arrives once more
				if len(late) > 0 {
					r := rapid.SampledFrom(late).Draw(t, "late")
					if r.Start == start { // the connection of an earlier process is gone
						b.take(&r, w, at(0))
					}
				}
			case 4: // a report
				send := func(base uint64) reportAnswer {
					r := report{Start: start, Seq: mine.seq, Base: base, Parts: 1, Checks: mine.after(base, w, at(0)), Document: steer.Stamp{}}
					late = append(late, r)
					answer, _ := b.take(&r, w, at(0))
					return answer
				}
				answer := send(acked)
				if answer.Full {
					answer = send(0)
				}
				if rapid.Bool().Draw(t, "answer lost") {
					continue
				}
				acked = answer.Seen
				for i := range mine.votes {
					if b.votes[i].state != mine.votes[i].state {
						t.Fatalf("check %d is %v, told as %v", i, mine.votes[i].state, b.votes[i].state)
					}
				}
			}
		}
	})
}
