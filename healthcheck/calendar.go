package healthcheck

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// window is one weekly maintenance window. It begins on each of its days at from and ends at
// to, on the next day when to is not after from.
type window struct {
	text     string // as it was written, for reasons
	days     [7]bool
	from, to int // minutes since midnight
	zone     *time.Location
}

var weekdays = [7]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// parseWindow reads "DAYS HH:MM-HH:MM [ZONE]"; DAYS is "daily", "Sat", "Mon-Fri" or "Sat,Sun".
func parseWindow(s string) (window, error) {
	f := strings.Fields(s)
	if len(f) < 2 || len(f) > 3 {
		return window{}, fmt.Errorf("%q is not of the form DAYS HH:MM-HH:MM [ZONE]", s)
	}
	w := window{text: s, zone: time.UTC}
	var err error
	if w.days, err = parseDays(f[0]); err != nil {
		return window{}, err
	}
	from, to, ok := strings.Cut(f[1], "-")
	if !ok {
		return window{}, fmt.Errorf("%q is not of the form HH:MM-HH:MM", f[1])
	}
	if w.from, err = parseMinute(from); err != nil {
		return window{}, err
	}
	if w.to, err = parseMinute(to); err != nil {
		return window{}, err
	}
	if w.from == w.to {
		return window{}, fmt.Errorf("the window %q is empty", f[1])
	}
	if len(f) == 3 {
		if w.zone, err = time.LoadLocation(f[2]); err != nil || f[2] == "Local" {
			return window{}, fmt.Errorf("the time zone %q does not exist", f[2])
		}
	} else {
		w.text += " UTC"
	}
	return w, nil
}

func parseDays(s string) (days [7]bool, err error) {
	if strings.EqualFold(s, "daily") {
		return [7]bool{true, true, true, true, true, true, true}, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		a, b := slices.Index(weekdays[:], strings.ToLower(first)), slices.Index(weekdays[:], strings.ToLower(last))
		if a < 0 || b < 0 {
			return days, fmt.Errorf("%q is neither daily nor days such as Sat, Mon-Fri or Sat,Sun", s)
		}
		for d := a; ; d = (d + 1) % 7 {
			days[d] = true
			if d == b {
				break
			}
		}
	}
	return days, nil
}

// parseMinute reads HH:MM; 24:00 is the end of the day.
func parseMinute(s string) (int, error) {
	h, m, ok := strings.Cut(s, ":")
	hour, err1 := strconv.ParseUint(h, 10, 8)
	minute, err2 := strconv.ParseUint(m, 10, 8)
	if !ok || len(h) != 2 || len(m) != 2 || err1 != nil || err2 != nil || minute > 59 || hour > 24 || hour == 24 && minute > 0 {
		return 0, fmt.Errorf("%q is no time of day HH:MM", s)
	}
	return int(hour*60 + minute), nil
}

// open says whether now is in the window.
func (w window) open(now time.Time) bool {
	now = now.In(w.zone)
	day, at := int(now.Weekday()), now.Hour()*60+now.Minute()
	if w.from < w.to {
		return w.days[day] && at >= w.from && at < w.to
	}
	return w.days[day] && at >= w.from || w.days[(day+6)%7] && at < w.to
}

// openWindow is the first window that is open, as it was written; empty when none is.
func openWindow(windows []window, now time.Time) string {
	for _, w := range windows {
		if w.open(now) {
			return w.text
		}
	}
	return ""
}

// opening is what the windows of a monitor say from one moment to another.
type opening struct {
	window    string    // that is open; empty: none
	at, until time.Time // from when to when; then it is another one, or has to be looked at again
}

// holds says whether o still says what is at now, also after the clock was put back.
func (o opening) holds(now time.Time) bool { return !now.Before(o.at) && now.Before(o.until) }

// openingOf says what the windows say at now, and until when: at most for MaxSteady.
func openingOf(windows []window, now time.Time) opening {
	o := opening{window: openWindow(windows, now), at: now, until: now}
	for end := now.Add(MaxSteady); o.until.Before(end); {
		if o.until = nextMark(windows, o.until); openWindow(windows, o.until) != o.window {
			return o
		}
	}
	return o
}

// clockStep divides every moment at which a zone changes its clocks, so that a step from one mark
// to the next never leads over such a change.
const clockStep = 15 * time.Minute

// nextMark is the first moment after t at which any of the windows may open or close: a minute at
// which one begins or ends, or at which clocks may change.
func nextMark(windows []window, t time.Time) time.Time {
	next := t.Truncate(clockStep).Add(clockStep)
	for _, w := range windows {
		local := t.In(w.zone)
		at := local.Hour()*60 + local.Minute()
		for _, mark := range [...]int{w.from, w.to} {
			left := time.Duration((mark-at+24*60)%(24*60)) * time.Minute
			if m := t.Truncate(time.Minute).Add(left); left > 0 && m.Before(next) {
				next = m
			}
		}
	}
	return next
}

func parseWindows(texts []string) ([]window, error) {
	var out []window
	for _, s := range texts {
		w, err := parseWindow(s)
		if err != nil {
			return nil, err
		}
		out = append(out, w)
	}
	return out, nil
}
