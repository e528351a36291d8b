package sites

import (
	"fmt"
	"slices"
	"testing"
)

func TestDiff(t *testing.T) {
	base := func() []entry {
		return []entry{
			siteObj("A"), siteObj("B"), siteObj("C"),
			subnetObj("10.0.0.0/8", "A"), subnetObj("10.1.0.0/16", "B"), subnetObj("10.2.0.0/16", "C"), subnetObj("10.3.0.0/16", "C"),
			linkObj("ab", "10", "A", "B"), linkObj("bc", "20", "B", "C"), linkObj("ca", "25", "C", "A"),
		}
	}
	old := mustSet(t, base()...)
	for name, tc := range map[string]struct {
		change func([]entry) []entry
		count  int
		lines  []string
	}{
		"nothing":   {func(e []entry) []entry { return e }, 0, nil},
		"location":  {func(e []entry) []entry { e[3].attrs["location"] = []string{"hall"}; return e }, 0, nil},
		"added":     {func(e []entry) []entry { return append(e, subnetObj("10.4.0.0/16", "A")) }, 1, []string{"subnet 10.4.0.0/16 added to site A"}},
		"removed":   {func(e []entry) []entry { return slices.Delete(e, 4, 5) }, 1, []string{"subnet 10.1.0.0/16 removed from site B"}},
		"moved":     {func(e []entry) []entry { e[4] = subnetObj("10.1.0.0/16", "C"); return e }, 1, []string{"subnet 10.1.0.0/16 moved from site B to site C"}},
		"new site":  {func(e []entry) []entry { return append(e, siteObj("D")) }, 0, []string{"site D added"}},
		"case":      {func(e []entry) []entry { e[0] = siteObj("a"); return e }, 0, []string{"site A is now written a"}},
		"same rank": {func(e []entry) []entry { e[8] = linkObj("bc", "21", "B", "C"); return e }, 0, []string{"site link bc: cost 21 instead of 20"}},
		"other rank": {func(e []entry) []entry { e[7] = linkObj("ab", "30", "A", "B"); return e }, 2, []string{
			"site link ab: cost 30 instead of 10", "site A gets the other sites in another order: 1 subnets", "site B gets the other sites in another order: 1 subnets"}},
		"site gone": {func(e []entry) []entry { return slices.Delete(e, 2, 3) }, 2, []string{
			"subnet 10.2.0.0/16 removed from site C", "subnet 10.3.0.0/16 removed from site C", "site C removed", "site link bc removed", "site link ca removed"}},
		"members": {func(e []entry) []entry { e[7] = linkObj("ab", "10", "A", "C"); return e }, 4, []string{
			"site link ab: with C", "site link ab: without B", "site A gets the other sites in another order: 1 subnets",
			"site B gets the other sites in another order: 1 subnets", "site C gets the other sites in another order: 2 subnets"}},
		"bridges required": {func(e []entry) []entry { return append(e[:9:9], transportObj("IP", "2"), bridgeObj("b", "ab", "bc")) }, 0, []string{
			"site links are not transitive any more: bridges are required", "site link ca removed", "site link bridge b added"}},
		"no bridge": {func(e []entry) []entry { return append(e[:9:9], transportObj("IP", "2")) }, 3, nil},
	} {
		c := Diff(old, mustSet(t, tc.change(base())...))
		if c.Count() != tc.count {
			t.Errorf("%s: counts %d, want %d: %q", name, c.Count(), tc.count, c.Lines())
		}
		if tc.lines != nil && !slices.Equal(c.Lines(), tc.lines) {
			t.Errorf("%s: %q, want %q", name, c.Lines(), tc.lines)
		}
		if c.Empty() != (name == "nothing" || name == "location") {
			t.Errorf("%s: empty = %v", name, c.Empty())
		}
	}
	if c := Diff(nil, old); c.Count() != 4 || len(c.Added) != 4 {
		t.Errorf("first import: %q", c.Lines())
	}
}

// Beyond maxOrdered sites a change of links counts all subnets rather than comparing all orders.
func TestDiffOfManySites(t *testing.T) {
	var entries []entry
	for i := range maxOrdered + 1 {
		entries = append(entries, siteObj(fmt.Sprint("S", i)))
	}
	entries = append(entries, subnetObj("10.1.0.0/16", "S1"), subnetObj("10.2.0.0/16", "S2"))
	old := mustSet(t, append(entries[:len(entries):len(entries)], linkObj("l", "1", "S1", "S2"))...)
	next := mustSet(t, append(entries[:len(entries):len(entries)], linkObj("l", "2", "S1", "S2"))...)
	if c := Diff(old, next); c.Count() != 2 {
		t.Errorf("changes: %q", c.Lines())
	}
}
