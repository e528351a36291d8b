package outagebench

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"switchpoint/bench/logins"
	"switchpoint/broker"
	"switchpoint/broker/outage/mode"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOptions(t *testing.T) {
	for _, o := range []Options{
		{Parts: []string{"quux"}}, {Profiles: []string{"slow"}}, {Hold: 1500 * time.Millisecond}, {Users: -1}, {Rate: -1}, {Desktops: 2_000_000},
	} {
		if o.Validate() == nil {
			t.Errorf("%+v passes", o)
		}
	}
	o, err := Options{Self: "x"}.withDefaults()
	if err != nil || o.Validate() != nil || o.Signed != 100_000 || o.Desktops != 50_000 || !slices.Equal(o.Parts, Parts()) || len(o.Profiles) != 2 {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err := (Options{Self: "x", Quick: true}).withDefaults(); err != nil || o.Validate() != nil || slices.Contains(o.Profiles, broker.OutageCitrix) {
		t.Errorf("quick: %+v, %v", o, err)
	}
}

var start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }

func TestFirstAfter(t *testing.T) {
	list := []change{{at(0), mode.Normal}, {at(5), mode.HostCache}, {at(9), mode.Recovering}, {at(10), mode.Normal}}
	for _, tc := range []struct {
		mode mode.Mode
		from float64
		want float64 // below 0: never
	}{
		{mode.HostCache, 3, 5}, {mode.HostCache, 6, 6}, {mode.HostCache, 9.5, -1}, {mode.Normal, 3, 3}, {mode.Normal, 6, 10}, {mode.Normal, 20, 20},
		{mode.Recovering, 3, 9}, {mode.Leased, 0, -1},
	} {
		got, ok := firstAfter(list, tc.mode, at(tc.from))
		if ok != (tc.want >= 0) || ok && !got.Equal(at(tc.want)) {
			t.Errorf("%s from %v: %v, %v, want %v", tc.mode, tc.from, got, ok, tc.want)
		}
	}
	if c := changed(list, mode.Normal, at(11)); c != nil {
		t.Errorf("no change is one: %v", c)
	}
	if c := changed(list, mode.Leased, at(11)); len(c) != 1 || !c[0].at.Equal(at(11)) {
		t.Errorf("a change: %v", c)
	}
}

func TestMergeBegan(t *testing.T) {
	w := &watcher{broker: []change{{at(0), mode.HostCache}, {at(4), mode.Recovering}, {at(6), mode.Normal}}}
	if got := w.mergeBegan(at(2)); !got.Equal(at(4)) {
		t.Errorf("as the broker said: %s", got)
	}
	// Too fast to be seen in the mode: from when the journal was still full.
	w = &watcher{broker: []change{{at(0), mode.HostCache}, {at(6), mode.Normal}}, journal: []acts{{at(1), 5}, {at(3), 9}, {at(5), 9}, {at(5.5), 0}}}
	if got := w.mergeBegan(at(2)); !got.Equal(at(5)) {
		t.Errorf("as the journal said: %s", got)
	}
}

// measured is ten seconds of logins, of which those of the seconds 4 and 5 are slow.
func measured() *logins.Measured {
	m := &logins.Measured{Began: start, Result: &logins.Result{Offered: 1000, OK: 998, Failed: 2, Errors: map[string]int{"login: refused (503, busy)": 2}}}
	for i := range 10 {
		s := logins.Second{Due: 100, Done: 100, P50: 4, P99: 9, Max: 10 + float64(i)}
		if i == 4 || i == 5 {
			s.Max = 1000
		}
		m.Seconds = append(m.Seconds, s)
	}
	return m
}

// told is the trial that goes with it.
func told() *Switch {
	w := &watcher{
		broker: []change{{at(-2), mode.Normal}, {at(6.1), mode.HostCache}, {at(8.2), mode.Recovering}, {at(8.4), mode.Normal}},
		alive:  []change{{at(-2), mode.Normal}, {at(6.3), mode.HostCache}, {at(8.5), mode.Normal}},
		looks:  300, down: 1,
		journal: []acts{{at(0), 0}, {at(4.5), 3}, {at(6.5), 100}, {at(8.3), 0}},
	}
	s := (&trial{watcher: w, gone: at(4.1), back: at(7.5)}).tell(measured())
	s.Profile, s.Way = broker.OutageFast, wayKilled
	return s
}

func TestTell(t *testing.T) {
	s := told()
	m, p := s.switched()
	near := func(a, b float64) bool { return math.Abs(a-b) < 1e-6 }
	if !near(s.Gone, 4.1) || !near(m, 2) || !near(p, 2.2) || !near(s.Back, 7.5) || !near(s.Merges, 8.2) || !near(s.Normal, 8.4) {
		t.Errorf("%+v", s)
	}
	if s.Before != 13 || s.Between != 1000 || s.After != 18 || s.lost() != 2 || s.Down != 1 {
		t.Errorf("%+v", s)
	}
	if want := []int{0, 0, 0, 0, 3, 3, 100, 100, 0, 0}; !slices.Equal(s.Acts, want) {
		t.Errorf("acts %v, want %v", s.Acts, want)
	}
	never := Switch{Gone: 3}
	if m, p := never.switched(); !math.IsNaN(m) || !math.IsNaN(p) {
		t.Errorf("a mode that did not come: %v, %v", m, p)
	}
}

func TestReport(t *testing.T) {
	r := &Report{Report: &logins.Report{Machine: "a < b", Versions: map[string]string{}}}
	s, slow := told(), told()
	s.OK, s.Failed, s.Errors, s.Down = s.Offered, 0, nil, 0
	r.addSwitches(broker.OutageFast, []*Switch{s})
	if missed := r.Missed(); len(missed) > 0 {
		t.Errorf("missed: %q", missed)
	}
	slow.Mode, slow.Between = 0, 1014.5
	r.addSwitches(broker.OutageFast, []*Switch{s, slow})
	r.Switches = []Switch{*s, *slow}
	if got := len(r.Missed()); got != 4 { // the mode, those lost, is_alive, the slowest
		t.Errorf("%d missed: %q", got, r.Missed())
	}
	r.Copies = []Copy{{Took: 4 * time.Second, Rise: 100 << 20, File: 30 << 20}, {Took: 6 * time.Second, Rise: 400 << 20}, {Took: 4500 * time.Millisecond, Rise: 200 << 20}}
	r.addCopies("all: ")
	var out strings.Builder
	if err := r.Write(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"fast: is_alive says so ", "killed: 2 login: refused (503, busy)", "all: copied into the host cache ", "4.50", "200", "The database vanishes", "NaN",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if _, err := json.Marshal(r.Switches); err != nil {
		t.Error(err)
	}
	if thousands(1234567) != "1,234,567" || thousands(12) != "12" {
		t.Errorf("%s, %s", thousands(1234567), thousands(12))
	}
}

func TestPlot(t *testing.T) {
	r := &Report{Report: &logins.Report{Machine: "a < b"}, Switches: []Switch{*told(), {Way: waySilent, Seconds: make([]logins.Second, 3)}}}
	var out bytes.Buffer
	if err := r.SVG(&out); err != nil {
		t.Fatal(err)
	}
	lines := 0
	for d := xml.NewDecoder(bytes.NewReader(out.Bytes())); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "polyline" {
			lines++
		}
	}
	if lines != 5+3 { // no latency where nobody signed in
		t.Errorf("%d lines in\n%s", lines, out.String())
	}
	for _, want := range []string{"the database vanishes, 4.10 s", "mode hostcache, 6.10 s", "mode normal: all is merged, 8.40 s"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q", want)
		}
	}
}

func TestAxis(t *testing.T) {
	for top, want := range map[float64]float64{0: 1, 0.9: 1, 57: 60, 101: 200, 9.5: 10, math.Inf(1): 1} {
		if got := linear(top).high; math.Abs(got-want) > 1e-9 {
			t.Errorf("the axis to %v ends at %v, want %v", top, got, want)
		}
	}
	a := decades(1300)
	if a.high != 10_000 || a.part(100) != 0.5 || a.part(0) != 0 || len(a.ticks()) != 5 {
		t.Errorf("%+v: %v, ticks %v", a, a.part(100), a.ticks())
	}
}
