package lb

import (
	"slices"
	"strings"

	"switchpoint/healthcheck"
	"switchpoint/healthcheck/isalive"
	"switchpoint/lb/choice"
)

// poolAnswer is what the balancer says of a pool when it is probed itself (LB11): 200 while any
// member is up, 503 while the best ones are overloaded, nothing at all when none can serve. The
// load is the sum over the members that are up or overloaded and said theirs, but for those that
// step aside: what they could carry is for nobody. The modes are those of the members that are up
// (503: overloaded), normal first.
func poolAnswer(states []healthcheck.Status) isalive.Answer {
	a := isalive.Answer{Active: -1, Capacity: -1}
	var modes []string
	for _, s := range states {
		switch s.State {
		case healthcheck.Up:
			a.Status = 200
		case healthcheck.Overloaded:
			if a.Status == 0 {
				a.Status = 503
			}
			if isalive.StepsAside(s.Load.Mode) {
				continue
			}
		default:
			continue
		}
		a.Active = addKnown(a.Active, s.Load.Active)
		a.Capacity = addKnown(a.Capacity, s.Load.Capacity)
	}
	serving := healthcheck.Up
	if a.Status == 503 {
		serving = healthcheck.Overloaded
	}
	for _, s := range states {
		if s.State != serving {
			continue
		}
		for mode := range strings.SplitSeq(s.Load.Mode, ",") {
			if mode = strings.TrimSpace(mode); mode != "" && !slices.Contains(modes, mode) {
				modes = append(modes, mode)
			}
		}
	}
	slices.SortFunc(modes, func(x, y string) int {
		if x == "normal" || y == "normal" {
			return boolToInt(y == "normal") - boolToInt(x == "normal")
		}
		return strings.Compare(x, y)
	})
	a.Mode = strings.Join(modes, ",")
	return a
}

// answer is that of the pool that would serve now: of the backup pool where no member of this one
// can take requests.
func (lp *livePool) answer(q *choice.Question, snap *healthcheck.Snapshot) isalive.Answer {
	for {
		lp.fillStates(q, snap)
		q.Scratch, _ = healthcheck.Serving(q.Scratch[:0], q.States)
		if len(q.Scratch) > 0 || lp.backup == nil {
			return poolAnswer(q.States)
		}
		lp = lp.backup
	}
}

// addKnown sums numbers of which -1 means unknown.
func addKnown(sum, n int) int {
	if n < 0 {
		return sum
	}
	return max(sum, 0) + n
}

func boolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// isAlive answers a probe that was a well-formed request.
func (ex *exchange) isAlive() {
	a := ex.pool.answer(&ex.q, ex.p.snapshot())
	if ex.status = a.Status; a.Status == 0 {
		// No answer is the answer: a probe must not take the pool for overloaded.
		ex.closing = true
		return
	}
	var fields []byte
	a.Each(func(name, value string) { fields = appendField(fields, name, []byte(value)) })
	ex.reply(a.Status, string(fields), a.Body())
}

// legacyAnswer answers a probe that has no version or no Host (AL4), before the server sees it.
func (p *Proxy) legacyAnswer(listener int) isalive.Answer {
	live := p.live.Load()
	if live == nil {
		return isalive.Answer{}
	}
	l := live.listeners[listener]
	var q choice.Question
	a := l.own().answer(&q, p.snapshot())
	l.own().count(-1, a.Status)
	return a
}
