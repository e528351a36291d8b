package bench

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"switchpoint/internal/covers"
)

// The roles of a run are processes of the same binary; the test binary plays them when this is
// set.
const roleEnv = "SWITCHPOINT_TEST_BENCH_ROLE"

func TestMain(m *testing.M) {
	if os.Getenv(roleEnv) != "" {
		if err := play(context.Background(), os.Args[1:]); err != nil {
			_, _ = os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// play reads the arguments that a run gives to its processes.
func play(ctx context.Context, args []string) error {
	flags := map[string]string{}
	for i := 2; i+1 < len(args); i += 2 {
		flags[strings.TrimPrefix(args[i], "--")] = args[i+1]
	}
	load := HealthLoad{
		Addresses: number(flags["addresses"]), Victims: number(flags["victims"]), Monitors: number(flags["monitors"]),
		Port: number(flags["port"]), Victim: number(flags["victim-port"]),
	}
	switch flags["role"] {
	case "responder":
		return Respond(ctx, []string{"0.0.0.0:" + flags["port"]})
	case "victims":
		return Respond(ctx, VictimAddresses(load.Addresses, load.Port))
	case "prober":
		var err error
		if load.Interval, err = time.ParseDuration(flags["interval"]); err != nil {
			return err
		}
		return Probe(ctx, load, os.Stdout)
	default:
		return Burn(ctx, os.Stdin)
	}
}

func number(s string) int {
	n := 0
	for _, c := range s {
		n = n*10 + int(c-'0')
	}
	return n
}

// TestHealthSmall runs the whole benchmark on a small load: every process starts, the killed
// addresses are seen, and the figures are there. Limits of speed are for `make bench-health`.
func TestHealthSmall(t *testing.T) {
	covers.Req(t, "HK3")
	t.Setenv(roleEnv, "1")
	var out bytes.Buffer
	err := Health(t.Context(), &out, HealthOptions{Addresses: 200, Monitors: 2, Interval: time.Second, Steady: 3 * time.Second, Burners: 1})
	text := out.String()
	for _, want := range []string{"400 checks", "CPU of the prober", "lateness p99", "share of fresh connections", "100.00 %"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s(%v)", want, text, err)
		}
	}
}

func TestQuantile(t *testing.T) {
	histogram := func(counts ...uint64) *dto.Histogram {
		h := &dto.Histogram{SampleCount: new(uint64)}
		bounds := []float64{.1, 1, 10}
		for i, c := range counts {
			h.Bucket = append(h.Bucket, &dto.Bucket{CumulativeCount: &c, UpperBound: &bounds[i]})
			*h.SampleCount = c
		}
		return h
	}
	for _, c := range []struct {
		from, to *dto.Histogram
		q, want  float64
	}{
		{nil, nil, .5, -1},
		{nil, histogram(0, 0, 0), .5, -1},
		{nil, histogram(50, 99, 100), .5, .1},
		{nil, histogram(50, 99, 100), .99, 1},
		{histogram(50, 50, 50), histogram(50, 99, 100), .5, 1},
	} {
		if got := quantile(c.from, c.to, c.q); got != c.want {
			t.Errorf("quantile %v = %v, want %v", c.q, got, c.want)
		}
	}
}

func TestUsage(t *testing.T) {
	u, err := usageOf(os.Getpid())
	if err != nil || u.peak < 1<<20 {
		t.Errorf("%+v, %v", u, err)
	}
	if _, err := usageOf(1 << 30); err == nil {
		t.Error("a process that does not exist has a usage")
	}
}

func TestLoopbackAddressesAreDistinct(t *testing.T) {
	seen := map[string]bool{}
	for i := range 10000 {
		a := loopback(64, i)
		if seen[a] {
			t.Fatalf("%s twice", a)
		}
		seen[a] = true
	}
}
