package lb

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"switchpoint/healthcheck"
	"switchpoint/internal/covers"
	"switchpoint/lb/choice"
)

func TestWordValidate(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	later := now.Add(time.Hour)
	good := Word{Pool: "p", Member: "m", Do: Drain, Owner: "alice", Reason: "update"}
	tests := []struct {
		edit func(*Word)
		want string // part of the error; empty: it is good
	}{
		{func(*Word) {}, ""},
		{func(w *Word) { w.Deadline, w.Expires = later, later }, ""},
		{func(w *Word) { w.Do, w.Reason = Enable, "" }, ""},
		{func(w *Word) { w.Do, w.Weight = Weight, 1000 }, ""},
		{func(w *Word) { w.Do, w.Weight = Weight, 0 }, ""},
		{func(w *Word) { w.Do, w.Weight = Weight, AsConfigured }, ""},
		{func(w *Word) { w.Do = "kill" }, "drain, disable, enable or weight"},
		{func(w *Word) { w.Do, w.Weight = Weight, 1001 }, "0 to 1000"},
		{func(w *Word) { w.Do, w.Weight = Weight, -2 }, "no weight"},
		{func(w *Word) { w.Weight = 3 }, "no weight for drain"},
		{func(w *Word) { w.Reason = "" }, "reason is missing"},
		{func(w *Word) { w.Owner = "" }, "owner is missing"},
		{func(w *Word) { w.Pool = "" }, "pool is missing"},
		{func(w *Word) { w.Reason = "a\nb" }, "cannot be printed"},
		{func(w *Word) { w.Owner = strings.Repeat("x", maxWordText+1) }, "at most"},
		{func(w *Word) { w.Do, w.Deadline = Disable, later }, "deadline is for drain"},
		{func(w *Word) { w.Deadline = now }, "already passed; say disable"},
		{func(w *Word) { w.Expires = now }, "already passed"},
		{func(w *Word) { w.Do, w.Expires = Enable, later }, "cannot expire"},
	}
	for i, tt := range tests {
		w := good
		tt.edit(&w)
		err := w.validate(now)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%d: %v, want %q", i, err, tt.want)
		}
	}
}

// TestOverlay is the table of the type: what words make of a health state.
func TestOverlay(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	pt := poolTable{name: "p", weights: []int{5}, members: []memberTable{{address: "m"}}}
	said := func(do string, weight int, deadline, expires time.Duration) words {
		w := Word{Pool: "p", Member: "m", Do: do, Weight: weight, Owner: "alice", Reason: "update", Set: now.Add(-time.Hour)}
		if deadline != 0 {
			w.Deadline = now.Add(deadline)
		}
		if expires != 0 {
			w.Expires = now.Add(expires)
		}
		return words{w.key(): w}
	}
	ejected := healthcheck.Status{State: healthcheck.Down, Source: healthcheck.FromTraffic}
	const up, over, down, unkn, drai, main = healthcheck.Up, healthcheck.Overloaded, healthcheck.Down, healthcheck.Unknown, healthcheck.Draining, healthcheck.Maintenance
	tests := []struct {
		name string
		ws   words
		want [7]healthcheck.State // of up, overloaded, unknown, down, draining, maintenance, ejected
		last bool                 // the ejected one may serve as a last resort
	}{
		{"nothing", words{}, [7]healthcheck.State{up, over, unkn, down, drai, main, down}, true},
		{"drain", said(Drain, 0, time.Hour, 0), [7]healthcheck.State{drai, drai, drai, down, drai, main, down}, false},
		{"past its deadline", said(Drain, 0, -time.Second, 0), [7]healthcheck.State{main, main, main, down, main, main, down}, false},
		{"disable", said(Disable, 0, 0, 0), [7]healthcheck.State{main, main, main, main, main, main, main}, false},
		{"weight 0", said(Weight, 0, 0, 0), [7]healthcheck.State{drai, drai, drai, down, drai, main, down}, false},
		{"weight 7", said(Weight, 7, 0, 0), [7]healthcheck.State{up, over, unkn, down, drai, main, down}, true},
		{"expired", said(Disable, 0, 0, -time.Second), [7]healthcheck.State{up, over, unkn, down, drai, main, down}, true},
		{"enabled", said(Enable, 0, 0, 0), [7]healthcheck.State{up, over, unkn, down, drai, main, down}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := tt.ws.overlay(&pt, now)
			for i, s := range []healthcheck.Status{{State: up}, {State: over}, {State: unkn}, {State: down}, {State: drai}, {State: main}, ejected} {
				s.Reason = "measured"
				if o != nil {
					s = o.members[0].over(s)
				}
				if s.State != tt.want[i] {
					t.Errorf("%d becomes %s, want %s", i, s.State, tt.want[i])
				}
				if forced := s.Reason != "measured"; forced && !strings.Contains(s.Reason, "by alice: update") {
					t.Errorf("reason %q", s.Reason)
				}
				if last, _ := healthcheck.Serving(nil, []healthcheck.Status{s}); i == 6 && (len(last) > 0) != tt.last {
					t.Errorf("the last resort is %v", last)
				}
			}
			if w := (words{}).overlay(&pt, now); w != nil {
				t.Error("nothing said is something")
			}
			if tt.name == "weight 7" && o.weights[0] != 7 || tt.name == "drain" && o.weights[0] != 5 {
				t.Errorf("weights %v", o.weights)
			}
		})
	}
}

// drawWord makes a word as some node may have said it.
func drawWord(t *rapid.T, base time.Time) Word {
	w := Word{
		Pool: rapid.SampledFrom([]string{"p", "q"}).Draw(t, "pool"), Member: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "member"),
		Do:    rapid.SampledFrom([]string{Drain, Disable, Enable, Weight}).Draw(t, "do"),
		Owner: "alice", Reason: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "reason"),
		Version: rapid.Uint64Range(1, 9).Draw(t, "version"), Node: rapid.SampledFrom([]string{"lb-1", "lb-2"}).Draw(t, "node"),
		Set: base.Add(-time.Duration(rapid.IntRange(0, 60).Draw(t, "days")) * 24 * time.Hour),
	}
	if w.Do == Weight {
		w.Weight = rapid.IntRange(AsConfigured, 3).Draw(t, "weight")
	}
	if rapid.Bool().Draw(t, "expires") && !w.takesBack() {
		w.Expires = w.Set.Add(24 * time.Hour)
	}
	return w
}

// TestWordsMerge: nodes that heard the same words in any order, and any number of times, know
// the same; a node's own next word wins over all that it knows.
func TestWordsMerge(t *testing.T) {
	covers.Req(t, "LB9")
	now := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		all := map[string]Word{} // one word of a version and node on a thing, as it is in truth
		for range rapid.IntRange(0, 12).Draw(t, "words") {
			w := drawWord(t, now)
			all[fmt.Sprint(w.key(), w.Version, w.Node)] = w
		}
		list := slices.Collect(maps.Values(all))
		one, _ := words{}.with(list, now)
		two := words{}
		for _, w := range rapid.Permutation(list).Draw(t, "order") {
			two, _ = two.with([]Word{w, w}, now)
		}
		if !bytes.Equal(one.encode(), two.encode()) {
			t.Fatalf("%s\n%s", one.encode(), two.encode())
		}
		if again, taken := one.with(two.list(), now); taken != 0 || len(again) != len(one) {
			t.Fatalf("%d are new the second time", taken)
		}
		back, err := parseWords(one.encode())
		if err != nil || !bytes.Equal(back.encode(), one.encode()) {
			t.Fatalf("%v\n%s\n%s", err, one.encode(), back.encode())
		}
		next := drawWord(t, now)
		next.Set, next.Expires, next.Version, next.Node = now, time.Time{}, one.version()+1, "lb-0"
		after, taken := one.with([]Word{next}, now)
		if taken != 1 || after[next.key()].Version != next.Version {
			t.Fatalf("the newest word does not hold: %+v", after[next.key()])
		}
	})
}

// TestWordsAreObeyed is HK4 under random health, words, bonds and limits: nobody is sent to a
// member that is disabled or past its deadline, only its own clients to one that drains, none to
// one that is down, and words alone never hide a member that may serve.
func TestWordsAreObeyed(t *testing.T) {
	covers.Req(t, "HK4")
	now := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		pt := poolTable{name: "p"}
		n := rapid.IntRange(1, 6).Draw(t, "members")
		q := choice.Question{
			Method:    rapid.SampledFrom([]string{"round-robin", "least-connections", DefaultMethod}).Draw(t, "method"),
			Persisted: rapid.IntRange(-1, n-1).Draw(t, "persisted"), Bond: rapid.SampledFrom([]choice.Bond{choice.Loose, choice.Firm}).Draw(t, "bond"),
			Draw: rapid.Uint64().Draw(t, "draw"), MinActive: 1,
		}
		var said []Word
		var health []healthcheck.Status
		for i := range n {
			pt.members = append(pt.members, memberTable{address: fmt.Sprint(i)})
			pt.weights = append(pt.weights, 1)
			health = append(health, healthcheck.Status{
				State:  healthcheck.State(rapid.IntRange(0, int(healthcheck.Maintenance)).Draw(t, "health")),
				Source: rapid.SampledFrom([]healthcheck.Source{healthcheck.FromProbes, healthcheck.FromTraffic}).Draw(t, "source"),
			})
			q.Loads = append(q.Loads, choice.Load{Full: rapid.Bool().Draw(t, "full"), Shunned: rapid.Bool().Draw(t, "shunned")})
			q.Priorities = append(q.Priorities, rapid.IntRange(0, 2).Draw(t, "priority"))
			for range rapid.IntRange(0, 2).Draw(t, "words") {
				w := drawWord(t, now)
				w.Pool, w.Member = "p", fmt.Sprint(i)
				if w.Do == Drain && rapid.Bool().Draw(t, "has a deadline") {
					w.Deadline = now.Add(time.Duration(rapid.IntRange(-1, 1).Draw(t, "deadline")) * time.Hour)
				}
				said = append(said, w)
			}
		}
		ws, _ := words{}.with(said, now)
		q.States, q.Weights = slices.Clone(health), pt.weights
		o := ws.overlay(&pt, now)
		if o != nil {
			q.Weights = o.weights
			for i := range q.States {
				q.States[i] = o.members[i].over(q.States[i])
			}
		}
		got, r := choice.Pick(&q)
		if got < 0 {
			for i, s := range health {
				if s.State == healthcheck.Up && (o == nil || o.members[i].to == healthcheck.Unknown) && !q.Loads[i].Full && !q.Loads[i].Shunned && r.How != choice.BoundFull {
					t.Fatalf("member %d is up and has a place, nothing is said of it, and nobody is picked: %s", i, r.How)
				}
			}
			return
		}
		w, forbidden := ws.hold(wordKey{"p", fmt.Sprint(got), false}, now)
		light, weighed := ws.hold(wordKey{"p", fmt.Sprint(got), true}, now)
		switch {
		case forbidden && w.Do == Disable, forbidden && !w.Deadline.IsZero() && !now.Before(w.Deadline):
			t.Fatalf("picked %d, although %s", got, w.Said())
		case (forbidden || weighed && light.Weight == 0) && got != q.Persisted:
			t.Fatalf("a new client goes to %d, which takes none", got)
		case health[got].State == healthcheck.Maintenance, health[got].State == healthcheck.Down && (health[got].Source != healthcheck.FromTraffic || forbidden):
			t.Fatalf("picked %d, which is %s", got, health[got].State)
		}
	})
}

// TestWordsBounds: no more are kept than there may be, and what is over for long goes.
func TestWordsBounds(t *testing.T) {
	now := time.Now()
	many := make([]Word, maxWords+5)
	for i := range many {
		many[i] = Word{Pool: "p", Member: fmt.Sprint(i), Do: Disable, Owner: "o", Reason: "r", Version: 1, Set: now}
	}
	ws, taken := words{}.with(many, now)
	if len(ws) != maxWords || taken != maxWords {
		t.Errorf("%d are kept, %d taken", len(ws), taken)
	}
	over := Word{Pool: "p", Member: "m", Do: Enable, Owner: "o", Version: 1, Set: now}
	ws, _ = words{}.with([]Word{over}, now)
	if next := ws.turns(now); !next.Equal(now.Add(wordGrave)) {
		t.Errorf("it is looked at again at %v", next)
	}
	if ws, _ = ws.with(nil, now.Add(wordGrave)); len(ws) != 0 {
		t.Errorf("still there: %v", ws)
	}
}

// FuzzWords: words of other nodes and of a file from before; what is taken can be written and read.
func FuzzWords(f *testing.F) {
	f.Add([]byte(`[]`))
	f.Add([]byte(`[{"pool":"p","member":"m","do":"drain","owner":"o","reason":"r","set":"2026-01-02T03:04:05Z","version":1}]`))
	f.Add([]byte(`[{"pool":"p","member":"m","do":"weight","weight":-1,"owner":"o","set":"2026-01-02T03:04:05Z","version":18446744073709551615,"node":"n"}]`))
	f.Add([]byte(`[{"pool":"p","do":"kill"}]`))
	f.Add([]byte(`{`))
	f.Fuzz(func(t *testing.T, b []byte) {
		ws, err := parseWords(b)
		if err != nil {
			return
		}
		again, err := parseWords(ws.encode())
		if err != nil || !bytes.Equal(again.encode(), ws.encode()) {
			t.Errorf("%q is read back as %q, %v", ws.encode(), again.encode(), err)
		}
		ws.overlay(&poolTable{name: "p", weights: []int{1}, members: []memberTable{{address: "m"}}}, time.Now())
	})
}
