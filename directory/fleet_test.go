package directory

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func fleetOf(names string, places []place, inTurn bool, draw func(int) int) *fleet {
	var servers []*server
	for name := range strings.FieldsSeq(names) {
		servers = append(servers, &server{name: name})
	}
	return newFleet(servers, places, inTurn, draw)
}

func orders(f *fleet) []string {
	var turns turns
	var out []string
	for range f.orders {
		var names []string
		for _, s := range turns.order(f) {
			names = append(names, s.name)
		}
		out = append(out, strings.Join(names, " "))
	}
	return out
}

func TestOrders(t *testing.T) {
	none := func(int) int { t.Error("drawn"); return 0 }
	for what, c := range map[string]struct {
		names  string
		places []place
		inTurn bool
		want   []string
	}{
		"no server":              {"", nil, true, nil},
		"one":                    {"a", []place{{}}, true, []string{"a"}},
		"as listed":              {"a b c", []place{{priority: 0}, {priority: 1 << 16}, {priority: 2 << 16}}, false, []string{"a b c"}},
		"in turn":                {"a b c", make([]place, 3), true, []string{"a b c", "b c a", "c a b"}},
		"priorities":             {"a b c d", []place{{priority: 2}, {priority: 1}, {priority: 1}, {priority: 3}}, true, []string{"b c a d", "c b a d"}},
		"weights in turn":        {"a b", []place{{weight: 300}, {weight: 100}}, true, []string{"a b", "a b", "b a", "a b"}},
		"no weights, not drawn":  {"a b", []place{{priority: 5}, {priority: 5}}, false, []string{"a b"}},
		"alike, however heavy":   {"a b", []place{{weight: 100}, {weight: 100}}, true, []string{"a b", "b a"}},
		"the last of a priority": {"a b", []place{{priority: 1, weight: 5}, {priority: 0, weight: 9}}, true, []string{"b a"}},
	} {
		if got := orders(fleetOf(c.names, c.places, c.inTurn, none)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
}

// Who comes first by lot does so in proportion to the weights.
func TestWeightedDraw(t *testing.T) {
	first := make(map[string]int)
	for range 20_000 {
		f := fleetOf("a b z", []place{{weight: 30}, {weight: 10}, {weight: 0}}, false, drawRandom)
		first[f.orders[0][0].name]++
		if len(f.orders[0]) != 3 {
			t.Fatal("a server is missing")
		}
	}
	if a, b, z := first["a"], first["b"], first["z"]; a < 2*b || a > 4*b || z > 1500 {
		t.Errorf("first came %v", first)
	}
	// Very different weights are met as well as maxOrders allows, and nobody is forgotten.
	f := fleetOf("a b", []place{{weight: 65535}, {weight: 1}}, true, drawRandom)
	if len(f.orders) != maxOrders || f.orders[0][0].name != "a" {
		t.Errorf("%d orders", len(f.orders))
	}
	seen := make(map[string]int)
	f = fleetOf("a b c", []place{{weight: 5}, {weight: 3}, {weight: 2}}, true, drawRandom)
	for _, o := range f.orders {
		seen[o[0].name]++
	}
	if fmt.Sprint(seen) != "map[a:5 b:3 c:2]" {
		t.Errorf("first in turn: %v", seen)
	}
}
