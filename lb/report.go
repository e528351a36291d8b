package lb

import (
	"errors"
	"syscall"

	"switchpoint/healthcheck"
)

// report tells the health engine how an attempt at the chosen member went (HK2: passive signals
// join the same state). An attempt is reported once, when its head has come or it has failed;
// what is not the member's fault is never told:
//   - a stale kept-alive connection, which says nothing about the member;
//   - an attempt for which this process lacked a descriptor or a port, or that it may have
//     broken off itself at the end of a drain;
//   - an answer that breaks off while it is streamed: a client that reads too slowly makes
//     members give up, and must not be able to eject them.
//
// A request that a client did not send to its end is not sent on, so there is no attempt.
func (ex *exchange) report(o outcome) {
	refs := ex.pool.members[ex.member].check.Refs
	if ex.p.tell == nil || len(refs) == 0 || o == stale || o == abandoned {
		return
	}
	if o != answered && (ex.ownFault || ex.p.draining.Load()) {
		return
	}
	told := healthcheck.Outcome{Traffic: o.traffic()}
	if o == answered {
		told.Status, told.Latency = ex.status, ex.ttfb
	}
	ex.p.tell(refs[0], told)
}

// traffic is the outcome in the words of the health engine.
func (o outcome) traffic() healthcheck.Traffic {
	switch o {
	case answered:
		return healthcheck.Answered
	case unreachable:
		return healthcheck.Refused
	case timedOut:
		return healthcheck.TimedOut
	default:
		return healthcheck.Reset
	}
}

// isOwnFault says whether a connection could not be made because this process or host is out of
// descriptors, ports or memory. That happens with all members at once and ejects none (HK4).
func isOwnFault(err error) bool {
	for _, own := range []error{syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, own) {
			return true
		}
	}
	return false
}
