package sites

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestNewSetLeavesOutOneObjectOnly(t *testing.T) {
	base := []entry{siteObj("Prague"), siteObj("Brno"), subnetObj("10.0.0.0/8", "Prague"), linkObj("north", "100", "Prague", "Brno")}
	for name, tc := range map[string]struct {
		e    entry
		want string // in the one problem; empty: none, it is taken
	}{
		"IPv6":               {subnetObj("2001:db8::/32", "Brno"), ""},
		"name with a comma":  {siteObj(`Brno\, south`), ""},
		"case of a DN":       {obj("subnet", "CN=10.9.0.0/16,CN=Subnets", "siteObject: cn=PRAGUE,cn=sites,cn=configuration,dc=EXAMPLE,dc=test"), ""},
		"cost 0":             {linkObj("free", "0", "Prague", "Brno"), ""},
		"no site":            {obj("subnet", "CN=10.9.0.0/16,CN=Subnets"), "has no site"},
		"unknown site":       {subnetObj("10.9.0.0/16", "Ostrava"), `is in "CN=Ostrava,CN=Sites,CN=Configuration,DC=example,DC=test", which is no site`},
		"deleted site":       {subnetObj("10.9.0.0/16", `Prague\0ADEL:9b8b`), "which is no site"},
		"site is no DN":      {obj("subnet", "CN=10.9.0.0/16,CN=Subnets", "siteObject: Prague"), "which is no site"},
		"host bits":          {subnetObj("10.9.0.1/16", "Brno"), "write 10.9.0.0/16"},
		"an address":         {subnetObj("10.9.0.1", "Brno"), "is no subnet"},
		"a mask":             {subnetObj("10.9.0.0/255.255.0.0", "Brno"), "is no subnet"},
		"zone":               {subnetObj("fe80::%eth0/64", "Brno"), "is no subnet"},
		"IPv4 in IPv6":       {subnetObj("::ffff:10.9.0.0/112", "Brno"), "write it as IPv4"},
		"twice":              {subnetObj("10.0.0.0/8", "Brno"), "stands there twice"},
		"in the wrong place": {obj("subnet", "CN=10.9.0.0/16"), "does not stand in CN=subnets,CN=sites,CN=configuration"},
		"no DN":              {entry{dn: "Prague", attrs: map[string][]string{"objectclass": {"site"}}}, "is no DN of the directory"},
		"endless DN":         {siteObj(strings.Repeat("x", maxDN)), "is no DN of the directory"},
		"two names":          {siteObj("A+OU=B"), "is no DN of the directory"},
		"NUL":                {siteObj(`A\00B`), "is no DN of the directory"},
		"conflict":           {siteObj(`Brno\0ACNF:9b8b`), "is a conflict object"},
		"deleted":            {siteObj(`Brno\0ADEL:9b8b`), "is a deleted object"},
		"below a conflict":   {obj("subnet", `CN=10.9.0.0/16,CN=Subnets\0ACNF:9b8b`), "is below a conflict object"},
		"line feed":          {siteObj(`Br\0Ano`), "has a name with control characters"},
		"link of one":        {linkObj("x", "5", "Prague"), "joins 1 usable sites"},
		"link of one, twice": {linkObj("x", "5", "Prague", "prague"), "joins 1 usable sites"},
		"link, no cost":      {linkObj("x", "cheap", "Prague", "Brno"), `has the cost "cheap"`},
		"link, endless cost": {linkObj("x", "99999999999", "Prague", "Brno"), `has the cost "99999999999"`},
		"SMTP":               {obj("siteLink", "CN=x,CN=SMTP,CN=Inter-Site Transports"), "of the SMTP transport"},
		"bridge of one":      {bridgeObj("b", "north"), "joins 1 usable site links"},
		"transport":          {transportObj("IP", "many"), "links count as transitive"},
		"SMTP transport":     {transportObj("SMTP", "2"), ""},
	} {
		set := mustSet(t, append(base[:4:4], tc.e)...)
		problems := set.Problems()
		switch {
		case tc.want == "" && len(problems) > 0:
			t.Errorf("%s: %v", name, problems)
		case tc.want != "" && (len(problems) != 1 || !strings.Contains(problems[0].String(), tc.want)):
			t.Errorf("%s: %v, want %q", name, problems, tc.want)
		}
		if sites, subnets, links := set.Len(); sites < 2 || subnets < 1 || links < 1 || !set.Transitive() {
			t.Errorf("%s: cost the others: %d sites, %d subnets, %d links", name, sites, subnets, links)
		}
	}
	set := mustSet(t, append(base[:4:4], linkObj("x", "5", "Prague", "Brno", "Ostrava"))...)
	if p := set.Problems(); len(p) != 1 || !strings.Contains(p[0].What, "Ostrava") || len(set.c.Links) != 2 {
		t.Errorf("a link with one site that is unknown: %v, %v", p, set.c.Links)
	}
}

func TestNewSetRefusesTheWhole(t *testing.T) {
	foreign := siteObj("London")
	foreign.dn = "CN=London,CN=Sites,CN=Configuration,DC=other,DC=test"
	for name, tc := range map[string]struct {
		entries []entry
		want    string
	}{
		"nothing":     {nil, "no site found"},
		"no sites":    {[]entry{subnetObj("10.0.0.0/8", "Prague")}, "may the account read it?"},
		"two forests": {[]entry{siteObj("Prague"), foreign}, "of two forests, other.test and example.test"},
	} {
		if _, err := newSet("test", noon, tc.entries, nil); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

// anyForest draws entries, good and bad ones.
func anyForest(t *rapid.T) []entry {
	names := []string{"A", "B", "C", "D", "e", "E", `A\0ACNF:1`}
	entries := []entry{siteObj("A")}
	some := func(label string, from []string, n int) []string {
		return rapid.SliceOfN(rapid.SampledFrom(from), 0, n).Draw(t, label)
	}
	for _, n := range some("sites", names, 5) {
		entries = append(entries, siteObj(n))
	}
	for _, p := range some("subnets", []string{"10.0.0.0/8", "10.1.0.0/16", "10.1.0.1/16", "2001:db8::/32", "2001:0db8::/32", "x"}, 6) {
		entries = append(entries, subnetObj(p, rapid.SampledFrom(names).Draw(t, "its site")))
	}
	var links []string
	for i := range rapid.IntRange(0, 6).Draw(t, "links") {
		links = append(links, fmt.Sprint("link", i))
		entries = append(entries, linkObj(links[i], fmt.Sprint(rapid.IntRange(-1, 9).Draw(t, "cost")), some("its sites", names, 4)...))
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "bridges") {
		entries = append(entries, bridgeObj(fmt.Sprint("bridge", i), some("its links", append(links, "none"), 4)...))
	}
	return append(entries, transportObj("IP", fmt.Sprint(rapid.IntRange(0, 3).Draw(t, "options"))))
}

// TestNewSetKnowsNoOrder also holds every set against what a file may bring back.
func TestNewSetKnowsNoOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries := anyForest(t)
		one, err := newSet("test", noon, entries, nil)
		if err != nil {
			t.Fatal(err)
		}
		seen := make(map[string]entry)
		for _, e := range entries {
			if twin, ok := seen[e.dn]; ok && fmt.Sprint(twin.attrs) != fmt.Sprint(e.attrs) {
				return // two versions of one object: the first counts
			}
			seen[e.dn] = e
		}
		other, err := newSet("test", noon, rapid.Permutation(entries).Draw(t, "another order"), nil)
		if err != nil {
			t.Fatal(err)
		}
		a, err := json.Marshal(one)
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(other)
		if err != nil || string(a) != string(b) {
			t.Fatalf("%v\n%s\n%s", err, a, b)
		}
		var back Set
		if err := json.Unmarshal(a, &back); err != nil {
			t.Fatal(err)
		}
		if c := Diff(one, &back, everySite()); !c.Empty() || fmt.Sprint(back.c) != fmt.Sprint(one.c) {
			t.Fatalf("written and read again: %v\n%v\n%v", c, back.c, one.c)
		}
	})
}
