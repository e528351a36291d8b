package logins

import (
	"bytes"
	"compress/gzip"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
)

func TestRows(t *testing.T) {
	r := &Report{Rows: []Row{
		row("fast", "logins/s", 1200).atLeast(500).goal(1000), row("enough", "logins/s", 600).atLeast(500).goal(1000),
		row("slow", "logins/s", 400).atLeast(500).goal(1000), row("late", "s", 121).atMost(120), row("none", "s", math.NaN()).atMost(120),
		row("free", "x", 0.126).note("so it is"),
	}}
	if got, want := strings.Join(r.Missed(), "; "), "slow: 400 logins/s, limit 500; late: 121 s, limit 120; none: NaN s, limit 120"; got != want {
		t.Errorf("missed %q, want %q", got, want)
	}
	var out strings.Builder
	if err := r.Write(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"fast    1200  logins/s  + >= 500  + goal >= 1000", "enough  600   logins/s  + >= 500  - goal >= 1000", "slow    400   logins/s  - >= 500  - goal >= 1000",
		"late    121   s         - <= 120", "free: so it is",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestPlot(t *testing.T) {
	r := newReport()
	r.Curve = []Point{{Offered: 100, Rate: 99, P50: 3, P99: 9}, {Offered: 1000, Rate: 800, P50: 30, P99: 900}}
	r.Runs = []Measured{{Name: "a < b", Rate: 10, Result: &Result{Seconds: []Second{{P50: 1, P99: 2, Max: 3}, {}, {P50: 1, P99: 2, Max: 3}}}}}
	var out bytes.Buffer
	if err := r.SVG(&out); err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(bytes.NewReader(out.Bytes()))
	lines := 0
	for {
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
	if lines != 3+2+3 || strings.Contains(out.String(), "NaN") {
		t.Errorf("%d lines in\n%s", lines, out.String())
	}
	for v, want := range map[float64]float64{0: 1, 0.9: 1, 1.1: 1.5, 99: 100, 101: 150, 7: 8} {
		if got := scale(v); math.Abs(got-want) > 1e-9 {
			t.Errorf("the axis to %v ends at %v, want %v", v, got, want)
		}
	}
}

func TestCPU(t *testing.T) {
	s, err := parseStat("7 (a) b) S 3 7 7 0 -1 4194304 1 2 3 4 250 50 10 5 20 0 1 0 1")
	if err != nil || s.parent != 3 || s.own != 3*time.Second || s.reaped != 150*time.Millisecond {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := parseStat("7 (a) S 3"); err == nil {
		t.Error("a line that is cut off is taken")
	}
	if used, err := cpuOfFamily(os.Getpid()); err != nil || used <= 0 {
		t.Errorf("this process has used %s, %v", used, err)
	}
	at := time.Now()
	before := reading{at: at, used: map[string]time.Duration{whoLB: time.Second}, busy: 10 * time.Second}
	after := reading{at: at.Add(10 * time.Second), used: map[string]time.Duration{whoLB: 6 * time.Second}, busy: 18 * time.Second}
	c := after.since(before)
	if c.Used[whoLB] != 0.5 || math.Abs(c.Used[whoOthers]-0.3) > 1e-9 || c.Busy != 0.8 {
		t.Errorf("%+v", c)
	}
	c.Cores = 1
	if c.full() || !strings.Contains(c.limit(), "not the cores (80 % busy): lb 62 %, others 38 %") {
		t.Errorf("%s", c.limit())
	}
	c.Busy = 0.95
	if !c.full() || !strings.HasPrefix(c.limit(), "the 1 cores (95 % busy)") {
		t.Errorf("%s", c.limit())
	}
	if each := c.each(100); each[whoLB] != 5 {
		t.Errorf("%v", each)
	}
}

func TestQueueWatch(t *testing.T) {
	at := time.Unix(1000, 0)
	var w queueWatch
	var high time.Time
	look := func(second int, depth float64, status int) {
		w.look(at.Add(time.Duration(second)*time.Second), depth, 25, status, &high)
	}
	look(0, 10, http.StatusOK)
	look(1, 60, http.StatusServiceUnavailable)
	look(2, 30, http.StatusServiceUnavailable)
	look(3, 24, http.StatusServiceUnavailable)
	look(5, 20, http.StatusOK)
	look(6, 0, http.StatusOK)
	if w.deepest != 60 || w.recovery != 3*time.Second || w.times() != 1 || !strings.Contains(w.String(), "60 waited at most") {
		t.Errorf("%+v: %s", w, w)
	}
	for _, bad := range []queueWatch{{}, {looks: 1}, {looks: 1, overload: true}} {
		if bad.times() != 0 {
			t.Errorf("%s", bad)
		}
	}
}

// spin uses CPU.
func spin(until time.Time) (n int) {
	for time.Now().Before(until) {
		n += strings.Count("abcabc", "c")
	}
	return n
}

// cpuProfile is one of this test.
func cpuProfile(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := pprof.StartCPUProfile(&out); err != nil {
		t.Fatal(err)
	}
	spin(time.Now().Add(300 * time.Millisecond))
	pprof.StopCPUProfile()
	return out.Bytes()
}

func TestByPackage(t *testing.T) {
	lines, err := byPackage(cpuProfile(t))
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, l := range lines {
		sum += l.Self
		if l.Package == "switchpoint/bench/logins" && l.All < 0.5 {
			t.Errorf("%+v", l)
		}
	}
	if len(lines) == 0 || sum < 0.8 || sum > 1.001 {
		t.Errorf("%+v, sum %v", lines, sum)
	}
	if _, err := byPackage([]byte("x")); err == nil {
		t.Error("a text is taken for a profile")
	}
}

func FuzzCPUProfile(f *testing.F) {
	zip, err := gzip.NewReader(bytes.NewReader(cpuProfile(f)))
	if err != nil {
		f.Fatal(err)
	}
	text, err := io.ReadAll(zip)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte{0x12, 3, 0x0a, 1, 9})
	f.Fuzz(func(_ *testing.T, text []byte) {
		var p parsedProfile
		if p.read(text) == nil {
			p.lines()
		}
	})
}

func TestShare(t *testing.T) {
	s := &share{dir: filepath.Join(t.TempDir(), "x")}
	if err := s.make(filepath.Dir(s.dir), map[string]string{"cpu.cfs_quota_us": "1"}); err == nil {
		t.Error("a folder that is no cgroup is taken")
	}
	if err := s.make(filepath.Dir(s.dir), map[string]string{"cpu.max": "1"}); err == nil {
		t.Error("a folder that is no cgroup is taken")
	}
	// Where shares can be made, a process that is held to one gets no more.
	if os.Geteuid() != 0 {
		return
	}
	s, err := newShare("switchpoint-bench-test-"+filepath.Base(t.TempDir())+"-"+filepath.Base(os.Args[0]), 0.1)
	if errors.Is(err, errNoShares) {
		t.Log(err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.remove(); err != nil {
			t.Error(err)
		}
	}()
	p, err := launch("spin", filepath.Join(t.TempDir(), "log"), false, nil, "/bin/sh", "-c", "while :; do :; done")
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	if err := s.hold(p.pid()); err != nil {
		t.Fatal(err)
	}
	before, err := cpuOf(p.pid())
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	after, err := cpuOf(p.pid())
	if err != nil || after-before > 250*time.Millisecond {
		t.Errorf("held to a tenth it used %s of a second, %v", after-before, err)
	}
}

func TestTurns(t *testing.T) {
	for part, want := range map[float64][2]string{0.01: {"100000", "1000"}, 0.03: {"33333", "1000"}, 0.2: {"20000", "4000"}, 1: {"20000", "20000"}} {
		if period, quota := turns(part); period != want[0] || quota != want[1] {
			t.Errorf("%v of a core: %s of %s us, want %s of %s", part, quota, period, want[1], want[0])
		}
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{
		{Parts: []string{"quux"}}, {Stores: []string{"oracle"}}, {Brokers: []int{0}}, {Hold: 1500 * time.Millisecond}, {Users: -1}, {Rounds: -1}, {Share: 2},
	} {
		if o.Validate() == nil {
			t.Errorf("%+v passes", o)
		}
	}
	o, err := Options{Parts: StormParts(), Self: "x"}.withDefaults()
	if err != nil || o.Validate() != nil || o.Users != 10_000 || o.SlowLoad != 300 || o.Soak < 10*time.Minute {
		t.Errorf("%+v, %v", o, err)
	}
}
