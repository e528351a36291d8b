package redirect

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// world is a table with a question, drawn at random.
type world struct {
	table *Table
	q     Question
	truth map[string]Answer // what every destination would say
}

func drawWorld(t *rapid.T) world {
	clusters := []string{"uk", "us", "de"}
	names := []string{"a", "b", "c", "d"}
	var destinations []Destination
	down := map[string]bool{}
	w := world{truth: map[string]Answer{}}
	for _, n := range names {
		destinations = append(destinations, Destination{Name: n, Cluster: rapid.SampledFrom(clusters).Draw(t, "cluster")})
		down[n] = rapid.Bool().Draw(t, "down")
		w.truth[n] = rapid.SampledFrom([]Answer{NoAnswer, Yes, No}).Draw(t, "assigned")
	}
	values := rapid.SampledFrom([]string{"x", "y", "xy"})
	var rules []string
	for range rapid.IntRange(0, 6).Draw(t, "rules") {
		r := values.Draw(t, "value") + " > " + rapid.SampledFrom(names).Draw(t, "destination")
		if rapid.Bool().Draw(t, "flag") {
			r += "  " + assignedOnly
		}
		rules = append(rules, r)
	}
	cfg := Config{
		Attribute: "a", Match: rapid.SampledFrom(matchNames()).Draw(t, "match"), Rules: strings.Join(rules, "\n"),
		Default:         rapid.SampledFrom([]string{"", "reject", "log-in-here"}).Draw(t, "default"),
		HomeUnavailable: rapid.SampledFrom([]string{"", "refuse", "log-in-here"}).Draw(t, "unavailable"),
	}
	var err error
	if w.table, err = Compile(cfg, destinations, "uk"); err != nil {
		t.Fatal(err)
	}
	w.q = Question{
		Attributes: map[string][]string{"A": rapid.SliceOfN(values, 0, 3).Draw(t, "values")},
		Available:  func(d string) (bool, string) { return !down[d], "" },
		Visited:    rapid.SliceOfN(rapid.SampledFrom(clusters), 0, 2).Draw(t, "visited"),
		Assigned:   map[string]Assigned{},
	}
	return w
}

func TestDecideNeverForwardsWhereItMustNot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		for n, a := range w.truth {
			w.q.Assigned[n] = Assigned{Answer: a}
		}
		d := Decide(w.table, w.q)
		if len(d.Reason) == 0 {
			t.Fatal("a decision without a reason")
		}
		if d.Action != Forward {
			return
		}
		up, _ := w.q.Available(d.Destination.Name)
		if !up || slices.Contains(w.q.Visited, d.Destination.Cluster) || d.Destination.Cluster == "uk" {
			t.Fatalf("forwarded to %+v; reasons %q", d.Destination, d.Reason)
		}
		if d.Rule.IfAssignedOnly && w.truth[d.Destination.Name] != Yes {
			t.Fatalf("forwarded by %+v although no desktop is assigned", d.Rule)
		}
	})
}

// Who asks only those that Needs names decides as if everybody had been asked, as long as those
// that cannot be asked have not answered before.
func TestNeedsIsEnough(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		for _, n := range Needs(w.table, w.q) {
			w.q.Assigned[n] = Assigned{Answer: w.truth[n]}
		}
		if again := Needs(w.table, w.q); len(again) > 0 {
			t.Fatalf("after all answers it still needs %q", again)
		}
		few := Decide(w.table, w.q)
		for n, a := range w.truth {
			d, _ := w.table.Destination(n)
			if ok, _ := reachable(w.table, &d, w.q); ok {
				w.q.Assigned[n] = Assigned{Answer: a}
			}
		}
		all := Decide(w.table, w.q)
		if fmt.Sprint(few.Action, few.Rule) != fmt.Sprint(all.Action, all.Rule) {
			t.Fatalf("with the needed answers %v by %+v, with all %v by %+v", few.Action, few.Rule, all.Action, all.Rule)
		}
	})
}

func TestDecideWithoutHealthAssumesAllUp(t *testing.T) {
	table, err := Compile(Config{Attribute: "dn", Match: "contains", Rules: "US > us"}, []Destination{{Name: "us", Cluster: "us"}}, "uk")
	if err != nil {
		t.Fatal(err)
	}
	d := Decide(table, Question{Attributes: map[string][]string{"DN": {"OU=US"}}})
	if d.Action != Forward || !strings.Contains(d.Reason[0], "assumed") {
		t.Errorf("got %v, %q", d.Action, d.Reason)
	}
}

func TestReasonsAreBounded(t *testing.T) {
	table, err := Compile(Config{Attribute: "dn", Match: "contains", Rules: "US > us"}, []Destination{{Name: "us", Cluster: "us"}}, "uk")
	if err != nil {
		t.Fatal(err)
	}
	d := Decide(table, Question{Attributes: map[string][]string{"dn": {"US" + strings.Repeat("é\n", 1<<20)}}})
	if got := len(strings.Join(d.Reason, "")); got > 2000 || strings.Contains(d.Reason[0], "\n") {
		t.Errorf("the reasons have %d bytes: %.100q", got, d.Reason)
	}
}
