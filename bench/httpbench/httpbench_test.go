package httpbench

import (
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParseStat(t *testing.T) {
	const stat = "812 (a (b) c) S 1 810 810 0 -1 4194560 1 2 3 4 150 75 0 0 20 0 1 0 100 5000 256 18446744073709551615 1"
	group, u, err := parseStat(stat)
	page := int64(os.Getpagesize())
	if err != nil || group != 810 || u.user != 1500*time.Millisecond || u.system != 750*time.Millisecond || u.resident != 256*page || u.cpu() != 2250*time.Millisecond {
		t.Errorf("group %d, %+v, %v", group, u, err)
	}
	for _, bad := range []string{"", "1 (x) S 1 2", strings.Replace(stat, "150", "much", 1)} {
		if _, _, err := parseStat(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestParseWrk(t *testing.T) {
	for _, tc := range []struct {
		out  string
		want int64
		fail string
	}{
		{"Running 3s test\n  1 threads\nRESULT 120345 0 0 0 0 0\n", 120345, ""},
		{"RESULT 120345 0 0 0 7 0\n", 0, "7 status"},
		{"RESULT 120345 1 2 3 0 4\n", 0, "1 connect, 2 read, 3 write, 0 status, 4 time-out"},
		{"RESULT 0 0 0 0 0 0\n", 0, "no request"},
		{"RESULT x 0 0 0 0 0\n", 0, "RESULT x"},
		{"unable to connect\n", 0, "no result"},
	} {
		n, err := parseWrk(tc.out)
		if n != tc.want || (err == nil) != (tc.fail == "") || err != nil && !strings.Contains(err.Error(), tc.fail) {
			t.Errorf("%q: %d, %v; want %d, %q", tc.out, n, err, tc.want, tc.fail)
		}
	}
}

// TestPairGate: a machine that slows down in one round moves both sides, not their ratio.
func TestPairGate(t *testing.T) {
	a, b := []float64{10, 30, 11, 12}, []float64{10, 20, 10, 10}
	g := pairGate("x b", paired(a, b, ratio), 1.15, false)
	if math.Abs(g.Value-1.15) > 1e-9 || !g.Holds || g.Low >= g.Value || g.High <= g.Value {
		t.Errorf("%+v", g)
	}
	if g := pairGate("x b", paired(a, b, ratio), 1.1, false); g.Holds {
		t.Errorf("%+v", g)
	}
	if g := pairGate("x b", paired(a, b, ratio), 1.1, true); !g.Holds {
		t.Errorf("%+v", g)
	}
	for _, atLeast := range []bool{false, true} {
		if g := pairGate("of nothing", nil, 1, atLeast); g.Holds {
			t.Errorf("a comparison without runs holds: %+v", g)
		}
	}
}

func TestOptionsRefuseWhatCannotBeRun(t *testing.T) {
	for want, o := range map[string]Options{
		"no row \"1kb\": take some of 1k, 1k-512": {Rows: []string{"1kb"}},
		"whole seconds": {Length: 1500 * time.Millisecond},
		"negative":      {Rounds: -1},
	} {
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
	if err := (Options{}).withDefaults().Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
}

func TestFindNamesTheCure(t *testing.T) {
	_, err := find("switchpoint-no-such-program", "some-package")
	if err == nil || !strings.Contains(err.Error(), "make deps") || !strings.Contains(err.Error(), "apt-get install some-package") {
		t.Error(err)
	}
}

func TestReport(t *testing.T) {
	slow := pairGate("x haproxy", []float64{1.2, 1.3, 1.4}, 1.1, false)
	fast := pairGate("x nginx", []float64{1, 1, 1}, 1.1, false)
	r := &Report{
		Machine: "a <machine>", Versions: map[string]string{ours: "v1", haproxy: "2.6", nginx: "1.22"}, Rounds: 3, Length: time.Second,
		Notes: []string{"something is missing"},
		Rows: []Row{
			{ID: "1k", Name: "1 KB & more", Unit: "us", Figures: []Figure{{Server: ours, Value: 19.5}, {Server: haproxy, Value: 15}, {Server: nginx, Value: 60}}, Gates: []Gate{slow, fast}},
			{ID: rowLatency, Name: "p99", Unit: "us", Figures: []Figure{{Server: ours, Value: -3}}},
			{ID: "allocs", Name: "allocations", Unit: "per request", Figures: []Figure{{Server: ours, Value: 0}}},
		},
	}
	var text, svg strings.Builder
	if err := r.Write(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a <machine>", "haproxy 2.6", "19.5", "- 1.30 x haproxy (1.25 to 1.35) <= 1.10; + 1 x nginx <= 1.10", "note: something is missing"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
	if missed := r.Missed(); len(missed) != 1 || !strings.HasPrefix(missed[0], "1 KB & more: 1.30 x haproxy") {
		t.Errorf("missed: %q", missed)
	}
	if err := r.SVG(&svg); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1 KB &amp; more", "a &lt;machine&gt;", "1.30 (19.5)", "4.00 (60)", "</svg>"} {
		if !strings.Contains(svg.String(), want) {
			t.Errorf("no %q in\n%s", want, svg.String())
		}
	}
	if strings.Contains(svg.String(), "allocations") || strings.Contains(svg.String(), "p99") {
		t.Error("the plot has rows that do not compare costs")
	}
}
