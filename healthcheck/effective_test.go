package healthcheck

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"switchpoint/internal/covers"
)

func TestEffective(t *testing.T) {
	force := &Override{State: Up, Owner: "ann", Reason: "change 7"}
	f := func(in facts, state State, source Source, reason string) {
		t.Helper()
		if v := effective(in); v.state != state || v.source != source || v.reason != reason {
			t.Errorf("%+v: %+v, want %v by %v: %s", in, v, state, source, reason)
		}
	}
	up := facts{state: Up, reason: "ok"}
	f(up, Up, FromProbes, "ok")
	f(facts{reason: notYet}, Unknown, FromProbes, notYet)
	f(facts{reason: notYet, before: Up, earlier: "200"}, Up, FromRestart, "stale, from before the restart: 200")
	f(facts{state: Down, reason: "refused", before: Up, ejected: "x"}, Down, FromProbes, "refused")
	one := up
	one.ejected = "traffic fails"
	f(one, Down, FromTraffic, "traffic fails")
	one.parent = "gw:1/tcp"
	f(one, Down, FromDependency, "depends on gw:1/tcp, which is down")
	one.held = true
	f(one, Down, FromHold, "it fell down and waits for an operator to release it (manual_resume); now: ok")
	one.window = "Sat 1:00-2:00 UTC"
	f(one, Maintenance, FromMaintenance, "maintenance window Sat 1:00-2:00 UTC")
	one.force = force
	f(one, Up, FromOverride, "forced up by ann: change 7")
	f(facts{state: Down, reason: "refused", held: true}, Down, FromProbes, "refused")
}

// The precedence of design section 5, in its own words, over every combination of facts.
func TestEffectivePrecedence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := func(name, value string) string {
			return rapid.SampledFrom([]string{"", value}).Draw(t, name)
		}
		f := facts{
			state: State(rapid.IntRange(0, int(Maintenance)).Draw(t, "state")), reason: "judged",
			before: State(rapid.IntRange(0, int(Maintenance)).Draw(t, "before")), earlier: "earlier",
			ejected: text("ejected", "ejected"), parent: text("parent", "parent"), window: text("window", "window"),
			held: rapid.Bool().Draw(t, "held"),
		}
		if rapid.Bool().Draw(t, "forced") {
			f.force = &Override{State: Draining, Owner: "o"}
		}
		v := effective(f)
		if v.reason == "" {
			t.Fatalf("no reason: %+v", f)
		}
		speaks := []struct {
			source Source
			speaks bool
			state  State
		}{
			{FromOverride, f.force != nil, Draining},
			{FromMaintenance, f.window != "", Maintenance},
			{FromHold, f.held && f.state != Down, Down},
			{FromDependency, f.parent != "", Down},
			{FromProbes, f.state == Down, Down},
			{FromTraffic, f.ejected != "", Down},
			{FromRestart, f.state == Unknown && f.before != Unknown, f.before},
			{FromProbes, true, f.state},
		}
		for _, s := range speaks {
			if s.speaks {
				if v.source != s.source || v.state != s.state {
					t.Fatalf("%+v gives %+v, want %v by %v", f, v, s.state, s.source)
				}
				return
			}
		}
	})
}

func TestGlob(t *testing.T) {
	f := func(pattern, address, monitor string, want bool) {
		t.Helper()
		if got := matches(pattern, Key{address, monitor}); got != want {
			t.Errorf("%q on %s/%s: %v", pattern, address, monitor, got)
		}
	}
	f("10.0.0.1:80", "10.0.0.1:80", "m", true)
	f("10.0.0.1:80", "10.0.0.1:8", "m", false)
	f("10.0.0.?:80/m", "10.0.0.7:80", "m", true)
	f("10.0.0.?:80/m", "10.0.0.77:80", "m", false)
	f("*", "x:1", "y", true)
	f("*/ldap", "x:1", "ldap", true)
	f("*/ldap", "x:1", "ldaps", false)
	f("*/l*s", "x:1", "ldaps", true)
	f("[::1]:*", "[::1]:80", "m", true)
	f("[::1]:*", ":80", "m", false)
	f("", "x:1", "m", false)
	f("a*b*c", "aXbYbZc", "m", true)
	f("a*b*c", "aXbYbZ", "m", false)
	long := strings.Repeat("a", 300)
	f(strings.Repeat("a*", 150)+"b", long, "m", false) // and not in exponential time
}

func FuzzGlob(f *testing.F) {
	f.Add("10.0.0.*:80", "10.0.0.1:80")
	f.Add("a*?b", "aab")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern) > 200 || len(s) > 200 {
			return
		}
		if glob(pattern, s) != slowGlob(pattern, s, make(map[[2]int]bool)) {
			t.Errorf("glob(%q, %q) = %v", pattern, s, glob(pattern, s))
		}
	})
}

// slowGlob is the definition of glob; refused remembers what was tried in vain.
func slowGlob(p, s string, refused map[[2]int]bool) bool {
	at := [2]int{len(p), len(s)}
	if refused[at] {
		return false
	}
	ok := false
	switch {
	case p == "":
		ok = s == ""
	case p[0] == '*':
		ok = slowGlob(p[1:], s, refused) || s != "" && slowGlob(p, s[1:], refused)
	case s != "" && (p[0] == '?' || p[0] == s[0]):
		ok = slowGlob(p[1:], s[1:], refused)
	}
	refused[at] = !ok
	return ok
}

func TestOverrideValidate(t *testing.T) {
	good := Override{Pattern: "a:1", State: Down, Owner: "ann"}
	if err := good.validate(moment); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Override){
		"is no pattern":                 func(o *Override) { o.Pattern = "" },
		`"a\x1b" is no pattern`:         func(o *Override) { o.Pattern = "a\x1b" },
		"cannot say unknown":            func(o *Override) { o.State = Unknown },
		"an override cannot say":        func(o *Override) { o.State = 77 },
		"needs an owner":                func(o *Override) { o.Owner = "" },
		"the reason must be printable":  func(o *Override) { o.Reason = "a\nb" },
		"has already passed":            func(o *Override) { o.Expires = moment },
		"the reason must be printable ": func(o *Override) { o.Reason = strings.Repeat("x", 501) },
	} {
		bad := good
		change(&bad)
		if err := bad.validate(moment); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", bad, err, want)
		}
	}
	var os overrides
	for i := range maxOverrides {
		next, err := os.with(Override{Pattern: strings.Repeat("x", i+1)})
		if err != nil {
			t.Fatal(err)
		}
		os = next
	}
	if _, err := os.with(Override{Pattern: "one more"}); err == nil {
		t.Error("the number of overrides is not bounded")
	}
	if again, err := os.with(Override{Pattern: "x", Owner: "new"}); err != nil || len(again) != maxOverrides || again.of(Key{"x", "m"}).Owner != "new" {
		t.Errorf("the same pattern does not replace: %v", err)
	}
}

func TestOverrunExcuses(t *testing.T) {
	covers.Req(t, "HK3")
	const s, ms = time.Second, time.Millisecond
	var o overrun
	o.note(10*s, 5*ms) // noise
	if why := o.excuse(9*s, 11*s, 0, 2*s); why != "" {
		t.Error(why)
	}
	o.note(10*s, 700*ms)
	if why := o.excuse(9*s, 11*s, 0, 2*s); why != "not counted, because this process was itself late by 700ms: " {
		t.Error(why)
	}
	if why := o.excuse(9800*ms, 11*s, 0, 2*s); why != "" { // only 200 ms of it fall into the probe
		t.Error(why)
	}
	if why := o.excuse(11*s, 13*s, 0, 2*s); why != "" {
		t.Errorf("a lag before the probe excuses it: %s", why)
	}
	if why := o.excuse(11*s, 14*s, 900*ms, 2*s); why == "" {
		t.Error("the time-out itself came late and excuses nothing")
	}
	if !o.excused(20*s) || o.excused(21*s) {
		t.Error("an overrun begins with its first excused probe, once")
	}
	if over, next := o.ended(22 * s); over || next != 21*s+lagCalm {
		t.Error(over, next)
	}
	if over, _ := o.ended(21*s + lagCalm); !over || o.active {
		t.Error("the overrun does not end")
	}
	if over, next := o.ended(100 * s); over || next != 0 {
		t.Error("an overrun ends twice")
	}
}
