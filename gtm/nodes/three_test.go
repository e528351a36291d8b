package nodes

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"switchpoint/gtm/steer"
)

func TestThreeNodesAgree(t *testing.T) {
	w := newWorld(t, "de", "uk", "us")
	de, uk, us := w.sites["de"], w.sites["uk"], w.sites["us"]

	// One node whose own way to the target is broken is outvoted, and says so.
	w.answer(http.StatusNotFound, "us")
	w.until("us sees the target down, and the others hear of it", func() bool {
		return us.own() == down && de.of("us").Differ == 1 && uk.of("us").Differ == 1
	})
	for _, s := range w.sites {
		if got := s.status(); got.State != up || !strings.Contains(got.Reason, "us says down") {
			t.Errorf("%s: %v because %s", s.name, got.State, got.Reason)
		}
	}
	if n := testutil.ToFloat64(us.metrics.overruled); n < 1 {
		t.Errorf("us was outvoted %v times", n)
	}

	// Two of three decide.
	w.answer(http.StatusNotFound, "uk")
	w.until("all count it as down", func() bool { return de.state() == down && uk.state() == down && us.state() == down })
	if got := de.status().Reason; !strings.HasPrefix(got, "down by 2 of 3: uk, us (here: up): ") {
		t.Errorf("de: %s", got)
	}
	if de.own() != up {
		t.Error("de does not see it up itself")
	}

	// A 503 is no failure, and of two states that are not down the more cautious one counts.
	w.answer(http.StatusServiceUnavailable, "us")
	w.until("all count it as overloaded", func() bool {
		return de.state() == overloaded && uk.state() == overloaded && us.state() == overloaded
	})
	w.answer(0, "uk", "us")
	w.until("all count it as up", func() bool { return de.state() == up && uk.state() == up && us.state() == up })
	if problems, err := testutil.GatherAndLint(de.registry); err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
}

// With ten seconds between reports, a change of state is still told at once.
func TestChangeOfStateIsToldAtOnce(t *testing.T) {
	w := newWorld(t, "uk", "us")
	uk, us := w.sites["uk"], w.sites["us"]
	for _, s := range w.sites {
		if err := s.SetConfig(Config{Members: []string{"uk", "us"}, Interval: maxInterval}); err != nil {
			t.Fatal(err)
		}
	}
	w.until("both report every ten seconds", func() bool {
		uk.mu.Lock()
		defer uk.mu.Unlock()
		return uk.members[0].interval == maxInterval
	})
	start := time.Now()
	w.answer(http.StatusNotFound, "us")
	w.until("uk hears of it", func() bool { return uk.of("us").Differ == 1 })
	w.answer(http.StatusNotFound, "uk")
	w.until("both count it as down", func() bool { return uk.state() == down && us.state() == down })
	if d := time.Since(start); d > maxInterval/2 {
		t.Errorf("it took %s", d)
	}
}

func TestStoppedNodeIsForgotten(t *testing.T) {
	w := newWorld(t, "de", "uk", "us")
	de, uk, us := w.sites["de"], w.sites["uk"], w.sites["us"]
	w.answer(http.StatusNotFound, "de")
	w.until("de is outvoted", func() bool { return de.own() == down && de.state() == up })
	us.stop()
	w.until("us is forgotten", func() bool { return !de.of("us").Live && !uk.of("us").Live })
	if got := de.state(); got != up { // of two both must
		t.Errorf("de counts it as %v", got)
	}
	if age := de.of("us"); age.Heard.IsZero() || age.Trouble == "" {
		t.Errorf("%+v", age)
	}
	uk.stop()
	w.until("de is alone and decides alone", func() bool { return de.state() == down })
	w.until("de says so of both", func() bool {
		log := de.logged.String()
		return strings.Contains(log, "its view no longer counts\" node=uk") && strings.Contains(log, "its view no longer counts\" node=us")
	})
	w.start(us, us.config)
	w.until("us is back and outvotes it again", func() bool { return de.state() == up && us.state() == up })
}

func TestBlindNodeAbstains(t *testing.T) {
	w := newWorld(t, "de", "uk", "us")
	de, uk, us := w.sites["de"], w.sites["uk"], w.sites["us"]
	blind := func(s *site) {
		if err := s.anchor.Close(); err != nil {
			t.Fatal(err)
		}
	}
	blind(us)
	w.until("us is blind, and known for it", func() bool { return us.of("us").Blind && de.of("us").Blind && uk.of("us").Blind })
	w.answer(http.StatusNotFound, "us")
	w.until("us sees nothing", func() bool { return us.own() == down })
	if got := us.status(); got.State != up || !strings.Contains(got.Reason, "up by 2 of 2: de, uk (this node is blind") {
		t.Errorf("us: %v because %s", got.State, got.Reason)
	}
	// Its view would make two of three.
	w.answer(http.StatusNotFound, "uk")
	w.until("uk sees it down", func() bool { return uk.own() == down && de.of("uk").Differ == 1 })
	if got := de.status(); got.State != up || !strings.Contains(got.Reason, "up by 1 of 2: de; uk says down; down takes 2") {
		t.Errorf("de: %v because %s", got.State, got.Reason)
	}
	w.answer(0, "uk")
	w.until("uk sees it up", func() bool { return uk.own() == up && us.of("uk").Checks == 1 && us.state() == up })

	// Blind and alone it keeps what was agreed.
	w.partition("us")
	w.until("us is alone", func() bool { return !us.of("de").Live && !us.of("uk").Live })
	if got := us.status(); got.State != up || !strings.HasPrefix(got.Reason, "frozen as up: this node reaches none of its anchors, and no other node") {
		t.Errorf("us: %v because %s", got.State, got.Reason)
	}
}

func TestOperatorsDocumentConverges(t *testing.T) {
	w := newWorld(t, "de", "uk", "us")
	de, uk, us := w.sites["de"], w.sites["uk"], w.sites["us"]
	force := func(pattern string) func(*steer.Operator) error {
		return func(o *steer.Operator) error {
			override(pattern, "down")(o)
			return nil
		}
	}
	has := func(pattern string, sites ...*site) func() bool {
		return func() bool {
			for _, s := range sites {
				if o := s.Operator(); len(o.Overrides) == 0 || o.Overrides[len(o.Overrides)-1].Pattern != pattern {
					return false
				}
			}
			return true
		}
	}
	o, acks, err := us.Change(t.Context(), force("*/us"))
	if err != nil || o.Version != 1 || o.Node != "us" {
		t.Fatalf("%+v, %v", o, err)
	}
	if len(acks) != 2 || !acks[0].Has || !acks[1].Has || acks[0].Node != "de" || acks[0].Version != 1 || acks[1].Heard.IsZero() {
		t.Errorf("acknowledged: %+v", acks)
	}
	if !has("*/us", de, uk, us)() {
		t.Error("Change came back before all had it")
	}

	// A node that is away catches up.
	uk.stop()
	if o, acks, err = de.Change(t.Context(), force("*/de")); err != nil || o.Version != 2 {
		t.Fatalf("%+v, %v", o, err)
	}
	for _, a := range acks {
		if a.Has != (a.Node == "us") || a.Has != (a.Why == "") {
			t.Errorf("acknowledged: %+v", a)
		}
	}
	w.until("us knows that uk has an older one", func() bool { n := us.of("uk"); return n.Document.Version == 1 && !n.Newest })
	w.start(uk, uk.config)
	if o := uk.Operator(); o.Version != 1 || o.Node != "us" {
		t.Errorf("after its restart uk has %+v", o)
	}
	w.until("uk has caught up", has("*/de", uk))
	w.until("all know that all have it", func() bool {
		for _, s := range w.sites {
			for _, n := range s.Show() {
				if n.Document != (steer.Stamp{Version: 2, Node: "de"}) || !n.Newest {
					return false
				}
			}
		}
		return true
	})

	// Both sides of a partition say something. All nodes end with the same, and say what is lost.
	w.partition("us")
	w.until("us is alone", func() bool { return !us.of("de").Live && !us.of("uk").Live && !de.of("us").Live })
	if _, acks, err = us.Change(t.Context(), func(o *steer.Operator) error { setMode(steer.ModeDR)(o); return nil }); err != nil || acks[0].Has || acks[1].Has {
		t.Fatalf("%+v, %v", acks, err)
	}
	for _, pattern := range []string{"*/a", "*/b"} {
		if _, _, err = uk.Change(t.Context(), force(pattern)); err != nil {
			t.Fatal(err)
		}
	}
	w.until("de has what uk said", has("*/b", de))
	w.heal()
	w.until("all have what uk said last", has("*/b", de, uk, us))
	for _, s := range w.sites {
		if o := s.Operator(); o.Version != 4 || o.Node != "uk" || o.Mode != "" || len(o.Overrides) != 4 {
			t.Errorf("%s has %+v", s.name, o)
		}
	}
	w.until("us says what is lost", func() bool {
		log := us.logged.String()
		return strings.Contains(log, "level=WARN") && strings.Contains(log, "replaced_by=4 replaced_by_node=uk") && strings.Contains(log, "mode dr by alice")
	})
	for _, s := range w.sites { // of this and of nothing else
		for line := range strings.Lines(s.logged.String()) {
			if strings.Contains(line, "what operators said was replaced") && !strings.Contains(line, "mode dr by alice") {
				t.Errorf("%s: %s", s.name, line)
			}
		}
	}
}
