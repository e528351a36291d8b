package isalive

import (
	"strings"
	"testing"
)

func TestModes(t *testing.T) {
	f := func(mode, label string, normal, aside bool) {
		t.Helper()
		if got := ModeLabel(mode); got != label {
			t.Errorf("%q is counted as %q, want %q", mode, got, label)
		}
		if Normal(mode) != normal || StepsAside(mode) != aside || Abnormal(mode) != (!normal && mode != "") {
			t.Errorf("%q: normal %v, abnormal %v, steps aside %v", mode, Normal(mode), Abnormal(mode), StepsAside(mode))
		}
	}
	f("", "", false, false)
	f("normal", "normal", true, false)
	f("hostcache", "hostcache", false, false)
	f("leased", "leased", false, false)
	f("recovering", "recovering", false, false)
	f("draining", "draining", false, true)
	f("stopped", "stopped", false, true)
	f("normal,hostcache", "several", true, false)
	f("hostcache, normal", "several", true, false)
	f("hostcache,leased", "several", false, false)
	f("draining,stopped", "several", false, true)
	f("draining, hostcache", "several", false, false)
	f("abnormal", "other", false, false)
	f("normal-ish", "other", false, false)
	f("NORMAL", "other", false, false)
	f(strings.Repeat("x", 64), "other", false, false)
}
