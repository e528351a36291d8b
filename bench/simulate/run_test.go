package simulate

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestSameSeedSameFigures: the figures depend on nothing but the question, however many games run
// beside it and whoever else plays.
func TestSameSeedSameFigures(t *testing.T) {
	o := Options{Scenarios: []string{"equal", "stall"}, Policies: []string{"least-response-time", "p2c-peak-ewma", "hcl", "nginx"}, Seeds: 2, Length: time.Second}
	small := func(o Options) []byte {
		t.Helper()
		games := cast(o.withDefaults())
		for i := range games {
			for seed := range games[i].runs {
				games[i].runs[seed] = play(&games[i].scenario, games[i].rule, uint64(seed+1), o.Length, defaultDelay)
			}
		}
		text, err := json.Marshal(newReport(o, games))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	first := small(o)
	if again := small(o); string(first) != string(again) {
		t.Errorf("\n%s\n%s", first, again)
	}
	alone := play(scenarioNamed(t, "equal"), ruleNamed(t, "hcl"), 2, o.Length, defaultDelay)
	games := cast(o.withDefaults())
	for i := range games {
		if games[i].scenario.id == "equal" && games[i].rule.name == "hcl" {
			if got := play(&games[i].scenario, games[i].rule, 2, o.Length, defaultDelay); got != alone {
				t.Errorf("alone %+v, among others %+v", alone, got)
			}
		}
	}
	if other := play(scenarioNamed(t, "equal"), ruleNamed(t, "hcl"), 3, o.Length, defaultDelay); other == alone {
		t.Error("another seed has the same figures")
	}
}

// TestKnownOrder holds the simulator to what is published of these rules, and ours to its limits.
func TestKnownOrder(t *testing.T) {
	const length = 4 * time.Second
	p99 := func(scenario, rule string) figures {
		return play(scenarioNamed(t, scenario), ruleNamed(t, rule), 1, length, defaultDelay)
	}
	// Turns bury slow servers; two choices are worse than all with stale knowledge of eight.
	turns, all, two := p99("8-90", "plain-round-robin"), p99("8-90", "haproxy"), p99("8-90", "p2c-least-conn")
	if !(turns.P99 > two.P99 && two.P99 > all.P99) || turns.TimeOuts < 0.01 {
		t.Errorf("p99 of turns %v (time-outs %v), two choices %v, all %v", turns.P99, turns.TimeOuts, two.P99, all.P99)
	}
	if ours := p99("8-90", ourMethod); ours.P99 > all.P99 {
		t.Errorf("p99 by response time %v, by connections %v", ours.P99, all.P99)
	}
	// A failer takes everything where it looks quick and idle.
	for _, rule := range []string{"netscaler", "nginx", "traefik"} {
		if got := p99("failer", rule); got.Errors < 0.2 {
			t.Errorf("%s fails %v of the requests", rule, got.Errors)
		}
	}
	for _, rule := range []string{ourMethod, "p2c-peak-ewma-penalty", "hcl"} {
		if got := p99("failer", rule); got.Errors > 0.02 {
			t.Errorf("%s fails %v of the requests", rule, got.Errors)
		}
	}
	if got := p99("failer", "plain-round-robin"); got.Errors < 0.04 || got.Errors > 0.05 {
		t.Errorf("in turns 0.9 of a twentieth fail, not %v", got.Errors)
	}
}

// TestFairShares: equal servers get equal work, also one that was slow once.
func TestFairShares(t *testing.T) {
	for _, id := range []string{"equal", "stall"} {
		s := scenarioNamed(t, id)
		got := play(s, ruleNamed(t, ourMethod), 1, s.length, defaultDelay)
		if id == "equal" && got.MinShare < minShare || got.MinShare < 0.5 {
			t.Errorf("%s: the least is %v of its fair share", id, got.MinShare)
		}
	}
}

func TestRunStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r, err := Run(ctx, Options{Length: time.Hour}); r != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", r, err)
	}
}

func TestRunQuick(t *testing.T) {
	var watched strings.Builder
	r, err := Run(t.Context(), Options{Quick: true, Scenarios: []string{"stall"}, Policies: []string{"least-response-time", "haproxy"}, Progress: &watched})
	if err != nil {
		t.Fatal(err)
	}
	if r.Seeds != quickSeeds || r.Length != quickLength || len(r.Scenarios) != 1 || len(r.Scenarios[0].Rows) != 2 || len(r.Scenarios[0].Rows[0].Runs) != quickSeeds {
		t.Errorf("%+v", r)
	}
	if !strings.Contains(watched.String(), "] 6/6 5 equal servers, 10 % load, one stalls once: ") {
		t.Errorf("progress %q", watched.String())
	}
	for _, row := range r.Scenarios[0].Rows {
		if row.P50 < 10 || row.P50 > 20 || row.P99 < row.P90 || row.P999 < row.P99 || row.Errors != 0 {
			t.Errorf("%+v", row)
		}
	}
}

func TestOptionsRefuseWhatCannotBePlayed(t *testing.T) {
	for want, o := range map[string]Options{
		`no scenario "1-80": take some of 1-70, 1-90`: {Scenarios: []string{"1-80"}},
		`no policy "best": take some of`:              {Policies: []string{"best"}},
		"negative":                                    {Seeds: -1},
		"too long":                                    {Length: 2 * maxLength},
	} {
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
		if r, err := Run(t.Context(), o); r != nil || err == nil {
			t.Errorf("%+v runs", o)
		}
	}
	if err := (Options{}).withDefaults().Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
}

func TestNamesAreUnique(t *testing.T) {
	for _, names := range [][]string{PolicyNames(), ScenarioIDs()} {
		seen := map[string]bool{}
		for _, name := range names {
			if seen[name] {
				t.Errorf("two are called %q", name)
			}
			seen[name] = true
		}
	}
	if d := DefaultPolicies(); d[0] != ourMethod || len(d) < 12 {
		t.Errorf("by default: %v", d)
	}
}

func TestMedians(t *testing.T) {
	got := medians([]figures{{P99: 5, Errors: 1, Held: 1}, {P99: 1, Errors: 0, Held: 3}, {P99: 3, Errors: 0.5, Held: 2}})
	if want := (figures{P99: 3, Errors: 0.5, Held: 2}); got != want {
		t.Errorf("%+v", got)
	}
	if got := medians([]figures{{P50: 1}, {P50: 2}}); got.P50 != 1.5 {
		t.Errorf("of two: %v", got.P50)
	}
}

// TestReport: whoever fails requests is not the best, and limits are told.
func TestReport(t *testing.T) {
	s := func(id string, ours, quick, failing figures) []game {
		v := scenario{id: id, name: id + " <&>"}
		return []game{
			{v, ruleMaker{name: ourMethod, ours: true}, []figures{ours}},
			{v, ruleMaker{name: "haproxy"}, []figures{quick}},
			{v, ruleMaker{name: "netscaler"}, []figures{failing}},
		}
	}
	games := append(s("failer", figures{P99: 106, Errors: 0.011}, figures{P99: 100}, figures{P99: 50, Errors: 0.4}),
		s("equal", figures{P99: 104, MinShare: 0.7}, figures{P99: 100, MinShare: 1}, figures{P99: 5000, TimeOuts: 0.02})...)
	r := newReport(Options{Seeds: 1, Length: time.Second}, games)
	if got := []float64{r.Scenarios[0].Best, r.Scenarios[0].Rows[0].Ratio, r.Scenarios[1].Rows[0].Ratio}; !reflect.DeepEqual(got, []float64{100, 1.06, 1.04}) {
		t.Errorf("best and ratios %v", got)
	}
	want := []string{
		"failer <&>: 1.060 of the best p99 <= 1.05",
		"failer <&>: 0.011 errors <= 0.01",
		"equal <&>: 0.700 of its fair share at least >= 0.8",
	}
	if got := r.Missed(); !reflect.DeepEqual(got, want) {
		t.Errorf("missed %q", got)
	}
	var text, svg strings.Builder
	if err := errors.Join(r.Write(&text), r.SVG(&svg)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"time-out", "fails", "40 %", "+ least-response-time: 1.040 of the best p99 <= 1.05", "- least-response-time: 0.011 errors <= 0.01"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
	for _, want := range []string{"equal &lt;&amp;&gt;", "50.0, fails 40 %", "104 (1.04)", "time-out, fails 2 %", "</svg>"} {
		if !strings.Contains(svg.String(), want) {
			t.Errorf("no %q in\n%s", want, svg.String())
		}
	}
}
