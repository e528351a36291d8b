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
			"site link ab: cost 30 instead of 10", "site A gets the datacenters in another order: 1 subnets", "site B gets the datacenters in another order: 1 subnets"}},
		"site gone": {func(e []entry) []entry { return slices.Delete(e, 2, 3) }, 4, []string{
			"subnet 10.2.0.0/16 removed from site C", "subnet 10.3.0.0/16 removed from site C", "site C removed", "site link bc removed", "site link ca removed",
			"site A gets the datacenters in another order: 1 subnets", "site B gets the datacenters in another order: 1 subnets"}},
		"new site with links": {func(e []entry) []entry { return append(e, siteObj("D"), linkObj("d", "5", "A", "D")) }, 4, nil},
		"members": {func(e []entry) []entry { e[7] = linkObj("ab", "10", "A", "C"); return e }, 4, []string{
			"site link ab: with C", "site link ab: without B", "site A gets the datacenters in another order: 1 subnets",
			"site B gets the datacenters in another order: 1 subnets", "site C gets the datacenters in another order: 2 subnets"}},
		"bridges required": {func(e []entry) []entry { return append(e[:9:9], transportObj("IP", "2"), bridgeObj("b", "ab", "bc")) }, 0, []string{
			"site links are not transitive any more: bridges are required", "site link ca removed", "site link bridge b added"}},
		"no bridge": {func(e []entry) []entry { return append(e[:9:9], transportObj("IP", "2")) }, 3, nil},
	} {
		c := Diff(old, mustSet(t, tc.change(base())...), everySite())
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
	if c := Diff(nil, old, everySite()); c.Count() != 4 || len(c.Added) != 4 {
		t.Errorf("first import: %q", c.Lines())
	}
}

// everySite has an owner of its own.
func everySite() func(*Set) map[string]int {
	numbers := make(map[string]int)
	return func(set *Set) map[string]int {
		out := make(map[string]int)
		for s := range set.Sites() {
			if _, ok := numbers[fold(s.Name)]; !ok {
				numbers[fold(s.Name)] = len(numbers)
			}
			out[s.Name] = numbers[fold(s.Name)]
		}
		return out
	}
}

// What comes and goes without an owner changes nobody's answer; the site of an owner does that of
// all who are near to it.
func TestDiffCountsWhatOwnersDecide(t *testing.T) {
	owners := func(*Set) map[string]int { return map[string]int{"Hub": 0, "DR": 1} }
	entries := []entry{siteObj("DR"), siteObj("Hub"), siteObj("Old"), linkObj("dr", "500", "Hub", "DR"), linkObj("old", "10", "Hub", "Old")}
	for i := range 30 {
		name := fmt.Sprint("Branch", i)
		entries = append(entries, siteObj(name), subnetObj(fmt.Sprintf("10.%d.0.0/16", i), name), linkObj(name, "10", "Hub", name))
	}
	old := mustSet(t, entries...)
	for name, tc := range map[string]struct {
		entries []entry
		count   int
	}{
		"a branch comes": {append(entries[:len(entries):len(entries)], siteObj("New"), linkObj("new", "10", "Hub", "New")), 0},
		"a branch goes":  {append(entries[:2:2], append([]entry{entries[3]}, entries[5:]...)...), 0},
		"the hub goes":   {append(entries[:1:1], entries[2:]...), 30},
	} {
		if c := Diff(old, mustSet(t, tc.entries...), owners); c.Count() != tc.count || c.Empty() {
			t.Errorf("%s: counts %d, want %d", name, c.Count(), tc.count)
		}
	}
	if c := Diff(mustSet(t, append(entries[:1:1], entries[2:]...)...), old, owners); c.Count() != 30 {
		t.Errorf("the hub comes: counts %d", c.Count())
	}
}
