package outagebench

import (
	"math"
	"time"

	"switchpoint/bench/logins"
	"switchpoint/broker/outage/mode"
)

// tell puts together what users and watcher have seen.
func (t *trial) tell(seen *logins.Measured) *Switch {
	w := t.watcher
	w.mu.Lock()
	defer w.mu.Unlock()
	began := seen.Began
	at := func(when time.Time, ok bool) float64 {
		if !ok {
			return 0
		}
		return when.Sub(began).Seconds()
	}
	first := func(list []change, m mode.Mode, from time.Time) float64 {
		when, ok := firstAfter(list, m, from)
		return at(when, ok)
	}
	s := &Switch{
		Gone: at(t.gone, true), Back: at(t.back, true),
		Mode: first(w.broker, mode.HostCache, t.gone), Page: first(w.alive, mode.HostCache, t.gone),
		Merges: at(w.mergeBegan(t.back), true), Normal: at(last(w.broker).at, true),
		Offered: seen.Offered, OK: seen.OK, Failed: seen.Failed + seen.Busy, Waited: seen.Waited, Errors: seen.Errors,
		Alive: w.looks, Down: w.down, Seconds: seen.Seconds, Acts: perSecond(w.journal, began, len(seen.Seconds)),
	}
	s.Before = slowest(s.Seconds, 0, math.Floor(s.Gone)-1)
	s.Between = slowest(s.Seconds, math.Floor(s.Gone), math.Floor(max(s.Mode, s.Page)))
	s.After = slowest(s.Seconds, math.Floor(max(s.Mode, s.Page))+1, math.Floor(s.Normal))
	return s
}

// slowest login of those that were due in the seconds from one to another.
func slowest(seconds []logins.Second, from, to float64) float64 {
	worst := 0.0
	for i := max(0, int(from)); i <= int(to) && i < len(seconds); i++ {
		worst = max(worst, seconds[i].Max)
	}
	return worst
}

// perSecond is how many acts the journal had at the end of each second.
func perSecond(seen []acts, began time.Time, seconds int) []int {
	out := make([]int, seconds)
	next, last := 0, 0
	for i := range out {
		for end := began.Add(time.Duration(i+1) * time.Second); next < len(seen) && !seen[next].at.After(end); next++ {
			last = seen[next].n
		}
		out[i] = last
	}
	return out
}
