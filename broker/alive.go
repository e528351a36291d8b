package broker

import (
	"net/http"

	"switchpoint/healthcheck/isalive"
)

// modeNormal is the only mode of a broker without outage handling (DC5).
const modeNormal = "normal"

// Alive is what the is_alive page says now (AL1, AL4, AL5). It asks nobody: the background
// calls of Run keep the facts current, so a probe costs nothing and recovery needs no restart.
//
// "serving" is 200 while this broker can serve logins: the store answers, a place is free, and
// at least one directory answers if any is configured. "backend" is 200 while broker and the
// whole back end are on line: the database and all directories must answer (AL2).
func (b *Broker) Alive() isalive.Answer {
	q := b.admit.state()
	mode, refuses := b.mode()
	if refuses != "" || b.Drained() != nil { // so that no balancer takes it for one that is only busy
		mode = modeDraining
	}
	a := isalive.Answer{Status: http.StatusOK, Mode: mode, Active: q.working + q.waiting, Capacity: b.admit.capacity()}
	if b.notServing() != "" {
		a.Status = http.StatusServiceUnavailable
	}
	return a
}

// mode says how the store serves.
func (b *Broker) mode() (mode, refuses string) {
	if b.o.Outage == nil {
		return modeNormal, ""
	}
	return b.o.Outage()
}

// NotServing says why no login can be served now, or "".
func (b *Broker) NotServing() string { return b.notServing() }

// notServing says why no login can be served, or "".
func (b *Broker) notServing() string {
	mode, refuses := b.mode()
	drain := b.Drained()
	switch {
	case refuses != "":
		return refuses
	case b.cfg.IsAlive == AliveBackend && (mode == isalive.ModeHostCache || mode == isalive.ModeLeased):
		return "the database does not answer"
	case drain != nil:
		return drain.String()
	case b.fenced.Load():
		return "another process has taken over the site id"
	case b.left():
		return "it has left the cluster"
	case b.readDown.Load():
		return "the database does not answer"
	case b.writeDown.Load():
		return "the database cannot be written"
	case b.admit.state().crowded:
		return "too many logins wait"
	}
	directories := b.table.Load().directories
	healthy := 0
	for _, d := range directories {
		if d.client.Health() == nil {
			healthy++
		}
	}
	switch {
	case len(directories) > 0 && healthy == 0:
		return "no directory answers"
	case healthy < len(directories) && b.cfg.IsAlive == AliveBackend:
		return "a directory does not answer"
	}
	return ""
}
