package jobs

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestLimits checks the published limits of the original.
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		cpus, jobs int
		average    float64
	}{{2, 12, 3.0}, {4, 20, 5.2}, {8, 36, 9.6}, {256, 1028, 282.4}} {
		l := Load{CPUs: c.cpus}
		if l.MaxJobs() != c.jobs || math.Abs(l.MaxAverage()-c.average) > 1e-9 {
			t.Errorf("%d CPUs: %d jobs, load average %v; want %d, %v", c.cpus, l.MaxJobs(), l.MaxAverage(), c.jobs, c.average)
		}
	}
}

func TestAllow(t *testing.T) {
	for name, c := range map[string]struct {
		load Load
		want int
		why  bool
	}{
		"idle":                    {Load{CPUs: 2}, 12, false},
		"some running":            {Load{CPUs: 2, Running: 5}, 7, false},
		"all running":             {Load{CPUs: 2, Running: 12}, 0, true},
		"more than all":           {Load{CPUs: 2, Running: 20}, 0, true},
		"at the limit":            {Load{CPUs: 2, Average: 3.0}, 12, false},
		"loaded":                  {Load{CPUs: 2, Average: 3.1}, 1, true},
		"loaded, one running":     {Load{CPUs: 2, Average: 3.1, Running: 1}, 0, true},
		"some logins":             {Load{CPUs: 2, Logins: 0.25}, 6, true},
		"busy with logins":        {Load{CPUs: 2, Logins: 0.5}, 1, true},
		"full of logins":          {Load{CPUs: 2, Logins: 1, Running: 3}, 0, true},
		"nearly busy with logins": {Load{CPUs: 2, Logins: 0.49}, 1, true},
	} {
		if n, why := c.load.Allow(); n != c.want || (why != "") != c.why {
			t.Errorf("%s: %d, %q; want %d", name, n, why, c.want)
		}
	}
}

// TestAllowProperty: never more than there is room for, never nothing for ever, and more logins
// never mean more jobs.
func TestAllowProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Load{
			CPUs: rapid.IntRange(1, 256).Draw(t, "cpus"), Average: rapid.Float64Range(0, 1000).Draw(t, "average"),
			Running: rapid.IntRange(0, 2000).Draw(t, "running"), Logins: rapid.Float64Range(0, 1).Draw(t, "logins"),
		}
		n, why := l.Allow()
		free := max(0, l.MaxJobs()-l.Running)
		if n < 0 || n > free || n == 0 && l.Running == 0 || (n < free) != (why != "") && free > 0 {
			t.Fatalf("%+v: %d of %d, %q", l, n, free, why)
		}
		busier := l
		busier.Logins = rapid.Float64Range(l.Logins, 1).Draw(t, "more logins")
		if m, _ := busier.Allow(); m > n {
			t.Fatalf("%+v allows %d, %+v allows %d", l, n, busier, m)
		}
	})
}
