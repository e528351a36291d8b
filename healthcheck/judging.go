package healthcheck

import "time"

// Defaults of what judges beyond rise and fall.
const (
	DefaultAdaptiveTimespan  = 3 * time.Minute
	DefaultFlapWindow        = 10 * time.Minute
	DefaultFlapHold          = time.Minute
	DefaultOverloadHold      = time.Minute
	DefaultPassiveFall       = 5
	DefaultPassiveWindow     = 10
	DefaultPassiveHold       = 10 * time.Second
	DefaultPassiveMaxEjected = 50
)

// Judging is the part of a [[monitor]] that says how results become a state (HK2). Everything
// in it may be left out.
type Judging struct {
	// FallOf lets Fall count within the last so many results instead of in a row: fall = 3 with
	// fall_of = 5 means 3 failures of 5. At most 64.
	FallOf int `toml:"fall_of"`
	// DownAfter is F5's timeout: down when no probe succeeded for so long, looked at with every
	// failure. Without an own fall it replaces fall; with one, either of them is enough.
	DownAfter time.Duration `toml:"down_after"`
	// TimeUntilUp is how long the successes must last until a check that is down is up again.
	TimeUntilUp time.Duration `toml:"time_until_up"`
	// IntervalTransition is the interval while a change is pending and before the first result
	// (HAProxy's fastinter); IntervalDown that of a check that is down (downinter). The default
	// of both is Interval, which is the interval of a check that is up.
	IntervalTransition time.Duration `toml:"interval_transition"`
	IntervalDown       time.Duration `toml:"interval_down"`
	// ManualResume keeps a check that fell down until an operator releases it.
	ManualResume bool `toml:"manual_resume"`
	// DependsOn names another check, "host:port/monitor", or another monitor of the same target.
	// While that one is down this one is down too, and its own changes are not logged. It is
	// probed even when nothing else asks for it.
	DependsOn string `toml:"depends_on"`
	// Maintenance are weekly windows in which the target is in maintenance, "Sat 22:00-23:30",
	// "Mon-Fri 02:00-02:30 Europe/Berlin", "daily 23:30-00:30"; UTC when no zone is said.
	Maintenance []string `toml:"maintenance"`

	// AdaptiveDivergence makes a success that is slower than the sliding mean by more than this
	// a failure: a share of the mean, "50%", or a time, "20ms".
	AdaptiveDivergence string `toml:"adaptive_divergence"`
	// AdaptiveLimit makes any success that is slower than this a failure.
	AdaptiveLimit time.Duration `toml:"adaptive_limit"`
	// AdaptiveTimespan is how far the sliding mean looks back; default 3m.
	AdaptiveTimespan time.Duration `toml:"adaptive_timespan"`

	// FlapLimit damps: after so many falls within FlapWindow (default 10m) a check stays down
	// until it did not fail for FlapHold (default 1m). 0 never damps; at most 16.
	FlapLimit  int           `toml:"flap_limit"`
	FlapWindow time.Duration `toml:"flap_window"`
	FlapHold   time.Duration `toml:"flap_hold"`
	// OverloadHold bounds how long a target that said 503 again soon after it came back stays
	// overloaded although it says 200: two intervals the first time, then doubling; default 1m.
	OverloadHold time.Duration `toml:"overload_hold"`

	// NoPassive ignores what the traffic reports of the target.
	NoPassive bool `toml:"no_passive"`
	// PassiveFall is how many of the last PassiveWindow requests must fail until the target is
	// down because of its traffic; defaults 5 and 10, at most 32.
	PassiveFall   int `toml:"passive_fall"`
	PassiveWindow int `toml:"passive_window"`
	// PassiveHold is how long that lasts before traffic is tried again; it doubles each time the
	// trial fails, up to 32 times itself; default 10s.
	PassiveHold time.Duration `toml:"passive_hold"`
	// PassiveMaxEjected is the percentage of the monitor's checks with traffic that may fail it
	// before the failure counts as one that they share, which puts none of them down; default 50.
	PassiveMaxEjected int `toml:"passive_max_ejected"`
}

// withDefaults gives the judging as it will run.
func (j Judging) withDefaults(interval time.Duration) Judging {
	fill := func(d *time.Duration, fallback time.Duration) {
		if *d == 0 {
			*d = fallback
		}
	}
	fill(&j.IntervalTransition, interval)
	fill(&j.IntervalDown, interval)
	fill(&j.OverloadHold, DefaultOverloadHold)
	if j.AdaptiveDivergence != "" {
		fill(&j.AdaptiveTimespan, DefaultAdaptiveTimespan)
	}
	if j.FlapLimit != 0 {
		fill(&j.FlapWindow, DefaultFlapWindow)
		fill(&j.FlapHold, DefaultFlapHold)
	}
	if j.NoPassive {
		return j
	}
	fill(&j.PassiveHold, DefaultPassiveHold)
	for value, fallback := range map[*int]int{
		&j.PassiveFall: DefaultPassiveFall, &j.PassiveWindow: DefaultPassiveWindow, &j.PassiveMaxEjected: DefaultPassiveMaxEjected,
	} {
		if *value == 0 {
			*value = fallback
		}
	}
	return j
}
