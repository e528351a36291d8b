package healthcheck

import (
	"strconv"
	"strings"
	"time"

	"switchpoint/internal/problem"
)

// Bounds of the judging keys: what one machine word, or one small list, remembers.
const (
	maxFallOf        = 64
	maxPassiveWindow = 32
	maxFlaps         = 16
	maxWindows       = 64
)

// validate finds the faults of the judging keys. m has its defaults.
func (m Monitor) validateJudging(l *problem.List) {
	m.validateFall(l)
	m.validateDurations(l)
	m.validatePassive(l)
	if m.FlapLimit < 0 || m.FlapLimit > maxFlaps {
		l.Addf("flap_limit", "write 0 to 16", "%d falls are out of range", m.FlapLimit)
	}
	if _, err := newAdaptive(m.Judging); err != nil {
		l.Addf("adaptive_divergence", `write a share of the mean such as "50%", or a time such as "20ms"`, "%v", err)
	}
	if len(m.Maintenance) > maxWindows {
		l.Addf("maintenance", "write at most 64 windows", "%d maintenance windows are too many", len(m.Maintenance))
	}
	for i, s := range m.Maintenance {
		if _, err := parseWindow(s); err != nil {
			l.Addf("maintenance["+strconv.Itoa(i)+"]", `write a window such as "Sat 22:00-23:30" or "Mon-Fri 02:00-02:30 Europe/Berlin"`, "%v", err)
		}
	}
	if m.ReceiveDisable != "" {
		if len(m.ReceiveDisable) > maxReceive {
			l.Addf("receive_disable", "keep it below 4 KB", "the string has %d bytes", len(m.ReceiveDisable))
		} else if _, err := newMatcher(m.ReceiveDisable); err != nil {
			l.Addf("receive_disable", "correct the regular expression (RE2 syntax)", "%v", err)
		}
	}
	if m.Reverse && m.Receive == "" {
		l.Addf("reverse", "say in receive what must not be there", "there is nothing to reverse without receive")
	}
}

func (m Monitor) validateFall(l *problem.List) {
	if least := 1; m.Fall > maxCount || m.Fall < least && (m.Fall != 0 || m.DownAfter == 0) {
		l.Addf("fall", "write 1 to 1000", "%d failures in a row is out of range", m.Fall)
	}
	if m.Rise < 1 || m.Rise > maxCount {
		l.Addf("rise", "write 1 to 1000", "%d successes in a row is out of range", m.Rise)
	}
	if m.FallOf == 0 {
		return
	}
	if m.FallOf < m.Fall || m.FallOf > maxFallOf || m.Fall == 0 {
		l.Addf("fall_of", "write a number from fall to 64", "%d failures can never be among the last %d results that are remembered", m.Fall, m.FallOf)
	}
}

func (m Monitor) validateDurations(l *problem.List) {
	for _, d := range []struct {
		key   string
		value time.Duration
	}{
		{"down_after", m.DownAfter}, {"time_until_up", m.TimeUntilUp},
		{"adaptive_limit", m.AdaptiveLimit}, {"adaptive_timespan", m.AdaptiveTimespan},
		{"flap_window", m.FlapWindow}, {"flap_hold", m.FlapHold}, {"overload_hold", m.OverloadHold},
		{"passive_hold", m.PassiveHold},
	} {
		if d.value < 0 {
			l.Addf(d.key, `write a positive duration, such as "30s"`, "%s is negative", d.value)
		}
	}
	if m.Interval >= minInterval && m.IntervalTransition < minInterval {
		l.Addf("interval_transition", `write a duration of at least 10ms, such as "1s"`, "%s is too short an interval", m.IntervalTransition)
	}
	if m.Interval >= minInterval && m.IntervalDown < minInterval {
		l.Addf("interval_down", `write a duration of at least 10ms, such as "30s"`, "%s is too short an interval", m.IntervalDown)
	}
}

func (m Monitor) validatePassive(l *problem.List) {
	if m.NoPassive {
		return
	}
	if m.PassiveWindow < 1 || m.PassiveWindow > maxPassiveWindow {
		l.Addf("passive_window", "write 1 to 32", "%d requests are out of range", m.PassiveWindow)
	}
	if m.PassiveFall < 1 || m.PassiveFall > max(1, m.PassiveWindow) {
		l.Addf("passive_fall", "write 1 to passive_window", "%d failures can never be among the last %d requests", m.PassiveFall, m.PassiveWindow)
	}
	if m.PassiveMaxEjected < 1 || m.PassiveMaxEjected > 100 {
		l.Addf("passive_max_ejected", "write 1 to 100, or no_passive = true", "%d is no percentage", m.PassiveMaxEjected)
	}
}

// parent is the check that a check at address depends on; false when it depends on none.
func (m Monitor) parent(address string) (Key, bool) {
	if m.DependsOn == "" {
		return Key{}, false
	}
	if at, name, elsewhere := strings.Cut(m.DependsOn, "/"); elsewhere {
		return Key{Address: at, Monitor: name}, true
	}
	return Key{Address: address, Monitor: m.DependsOn}, true
}

// validateDependencies finds parents that do not exist, and circles.
func (c Config) validateDependencies(l *problem.List, names map[string]int) {
	for i, m := range c.Monitors {
		parent, has := m.parent("target:1")
		if !has {
			continue
		}
		path := "monitor[" + strconv.Itoa(i) + "].depends_on"
		if err := hostPort(parent.Address); err != nil {
			l.Addf(path, `write "host:port/monitor" or the name of a monitor`, "%q is no host:port: %v", parent.Address, err)
			continue
		}
		if _, ok := names[parent.Monitor]; !ok {
			l.Addf(path, "add a [[monitor]] with this name", "the monitor %q does not exist", parent.Monitor)
			continue
		}
		at := parent.Monitor
		for range c.Monitors {
			if at == m.Name {
				l.Addf(path, "break the circle", "the monitor %q depends on itself", m.Name)
				break
			}
			next, more := c.Monitors[names[at]].parent("target:1")
			if _, ok := names[next.Monitor]; !more || !ok {
				break
			}
			at = next.Monitor
		}
	}
}
