package broker

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func rule(attribute, match, value string) PoolRule {
	return PoolRule{Attribute: attribute, Match: match, Value: value}
}

func TestPoolRules(t *testing.T) {
	m := &Machine{Name: "GPU-07", Host: "gpu-07.us.company.com", IP: "10.1.2.3", OS: "Windows 11", OU: "OU=CAD,OU=US", Tags: []string{"gpu", "floor-3"}}
	for _, tc := range []struct {
		rule PoolRule
		want bool
	}{
		{rule("name", "eq", "gpu-07"), true},
		{rule("name", "equals", "gpu-0"), false},
		{rule("name", "ne", "gpu-07"), false},
		{rule("description", "ne", "x"), true}, // no value is equal
		{rule("os", "ct", "windows"), true},
		{rule("os", "does-not-contain", "windows"), false},
		{rule("name", "bw", "gpu"), true},
		{rule("name", "begins-with", "pu"), false},
		{rule("host", "ew", ".COMPANY.com"), true},
		{rule("tag", "eq", "floor-3"), true},
		{rule("tag", "ne", "floor-3"), false},
		{rule("tag", "any", ""), true},
		{rule("description", "any-value-exists", ""), false},
		{rule("ip", "ip", "10.1.0.0/16"), true},
		{rule("ip", "in-network", "10.1.2.4"), false},
		{rule("ip", "np", "10.2.0.0/16"), true},
		{rule("ip", "not-in-network", "10.1.2.3"), false},
		{rule("name", "ip", "10.0.0.0/8"), false}, // a value that is no address
		{rule("name", "gt", "gpu-06"), true},
		{rule("name", "lt", "gpu-06"), false},
		{rule("ou", "regex", "^ou=cad,"), true},
		{rule("center", "eq", "racks"), true},
	} {
		c, err := compilePoolRule(tc.rule)
		if err != nil {
			t.Errorf("%+v: %v", tc.rule, err)
		} else if got := c.applies(m, "racks"); got != tc.want {
			t.Errorf("%s: %v", c.String(), got)
		}
	}
	// Numbers are compared as numbers.
	for value, want := range map[string]bool{"9": true, "10": false, "11": false, "abc": false} {
		c, err := compilePoolRule(rule("description", "gt", value))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.applies(&Machine{Description: "10"}, ""); got != want {
			t.Errorf("10 > %s: %v", value, got)
		}
	}
	for _, bad := range []PoolRule{
		rule("colour", "eq", "x"), rule("name", "is", "x"), rule("name", "eq", ""), rule("name", "any", "x"), rule("ip", "ip", "10.0.0.0/40"),
		rule("name", "regex", "("), rule("name", "eq", strings.Repeat("x", maxRuleValue+1)), rule("name", "eq", "a\nb"),
	} {
		if _, err := compilePoolRule(bad); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}

func TestPlacement(t *testing.T) {
	p, err := NewPlacement([]DesktopPool{
		{Name: "own", Kind: KindAssigned, Rules: []PoolRule{rule("name", "bw", "own")}},
		{Name: "listed", Kind: KindPooled, Desktops: []string{"Own-9", "x"}},
		{Name: "gpu", Kind: KindPooled, Rules: []PoolRule{rule("tag", "eq", "gpu"), rule("os", "ct", "linux")}},
		{Name: "rest", Kind: KindPooled, Rules: []PoolRule{rule("name", "any", "")}},
		{Name: "hand", Kind: KindPooled},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		m        Machine
		given    string
		assigned bool
		want     string
	}{
		{Machine{Name: "own-9"}, "", false, "own"}, // the first that takes it
		{Machine{Name: "X"}, "", false, "listed"},
		{Machine{Name: "a", Tags: []string{"gpu"}, OS: "Linux"}, "", false, "gpu"},
		{Machine{Name: "a", Tags: []string{"gpu"}}, "", false, "rest"}, // all rules have to apply
		{Machine{Name: "own-1"}, "hand", false, "hand"},
		{Machine{Name: "a"}, "", true, ""}, // pooled pools take nothing that is somebody's
		{Machine{Name: "own-1"}, "", true, "own"},
		{Machine{Name: "own-1"}, "hand", true, ""},
		{Machine{Name: "a"}, "gone", false, ""},
	} {
		got, why := p.Place(&tc.m, "", tc.given, tc.assigned)
		if got != tc.want || why == "" {
			t.Errorf("%+v: %q (%s), want %q", tc, got, why, tc.want)
		}
	}
}

func FuzzPoolRule(f *testing.F) {
	f.Add("name", "regex", "^a(b|c)*$", "abc")
	f.Add("ip", "in-network", "10.0.0.0/8", "10.1.1.1")
	f.Add("tag", "gt", "1e9", "NaN")
	f.Fuzz(func(t *testing.T, attribute, match, value, text string) {
		c, err := compilePoolRule(rule(attribute, match, value))
		if err != nil {
			return
		}
		m := &Machine{Name: text, IP: text, Tags: []string{text}}
		if first, again := c.applies(m, text), c.applies(m, text); first != again {
			t.Error("it cannot decide")
		}
	})
}

// TestPlanScan: whatever a scan finds, applying its plan makes the desktops what it lists; what it
// does not list is marked, and never more of it than allowed.
func TestPlanScan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		machines := func(label string) map[string]Machine {
			out := make(map[string]Machine)
			for _, n := range rapid.SliceOfDistinct(rapid.IntRange(0, 12), func(n int) int { return n }).Draw(t, label) {
				name := string(rune('a' + n))
				out[name] = Machine{Name: name, Port: rapid.IntRange(1, 2).Draw(t, label+name)}
			}
			return out
		}
		before, listed := machines("before"), machines("listed")
		var have []CenterDesktop
		present := 0
		state := make(map[string]CenterDesktop)
		for _, m := range before {
			d := CenterDesktop{Machine: m, Missing: rapid.Bool().Draw(t, "missing "+m.Name)}
			if !d.Missing {
				present++
			}
			have, state[m.Name] = append(have, d), d
		}
		var found Inventory
		for _, m := range listed {
			if rapid.IntRange(0, 9).Draw(t, "bad "+m.Name) == 0 {
				found.Bad = append(found.Bad, BadRow{Key: m.Key(), Why: "x"})
			} else {
				found.Machines = append(found.Machines, m)
			}
		}
		limit := rapid.IntRange(0, 100).Draw(t, "max_vanish")
		p := planScan(have, found, limit, 0)
		for _, b := range p.batches("c") {
			for _, m := range b.Machines {
				state[m.Key()] = CenterDesktop{Machine: m}
			}
			for _, k := range b.Vanished {
				d := state[k]
				d.Missing = true
				state[k] = d
			}
		}
		for _, m := range found.Machines {
			if d := state[m.Key()]; d.Missing || !d.equal(&m) {
				t.Fatalf("%s is %+v, listed as %+v", m.Name, d, m)
			}
		}
		if len(p.vanished)*100 > limit*present || p.waiting > 0 && len(p.vanished) > 0 {
			t.Fatalf("%d of %d marked, %d waiting, allowed %d %%", len(p.vanished), present, p.waiting, limit)
		}
		for _, k := range p.vanished {
			if _, there := listed[k]; there {
				t.Fatalf("%s is listed and vanished", k)
			}
		}
		if again := planScan(have, found, limit, p.waiting); p.waiting > 0 && len(again.vanished) != p.waiting {
			t.Fatalf("confirmed %d, marked %d", p.waiting, len(again.vanished))
		}
	})
}

func TestScanResult(t *testing.T) {
	have := []CenterDesktop{{Machine: Machine{Name: "a"}}, {Machine: Machine{Name: "b"}}, {Machine: Machine{Name: "c"}}}
	p := planScan(have, Inventory{Machines: []Machine{{Name: "a"}}}, 50, 0)
	if p.waiting != 2 || !strings.Contains(p.result(Inventory{}, []string{"x"}), "2 of 3 desktops are not listed any more") {
		t.Errorf("%+v", p)
	}
	have = []CenterDesktop{{Machine: Machine{Name: "a"}}} // as the store has one whose id is its name
	if p := planScan(have, Inventory{Machines: []Machine{{ID: "a", Name: "a"}}}, 50, 0); len(p.machines) != 0 {
		t.Errorf("a machine that stays as it is was changed: %+v", p)
	}
	if got := shorten(strings.Repeat("x", 2*maxResult)); len(got) > maxResult+3 {
		t.Errorf("%d bytes", len(got))
	}
	if s := (Setup{Centers: []Center{{Name: "x", Every: time.Minute}}}).inventoryJobs(); !slices.ContainsFunc(s, func(j NewJob) bool {
		return j.Kind == KindCenterScan && j.Target == "x" && j.Every == time.Minute && j.Unique
	}) {
		t.Errorf("%+v", s)
	}
}
