package jobs

import (
	"context"
	"errors"
	"runtime"
	"time"

	"switchpoint/broker"
)

// gather is how long a full worker waits after a run has ended for others to end: one claim for
// several places costs no more than one for one.
const gather = 2 * time.Millisecond

// claims polls the queue until ctx ends: at once while it finds as much as it asks for, when a job
// was added here, and else every Poll.
func (w *Worker) claims(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	ready := int64(0) // the epoch that the own jobs were added for
	var freed <-chan struct{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.o.Added:
			w.renewSoon() // it may have been a cancellation
		case <-freed:
			select {
			case <-ctx.Done():
				return
			case <-time.After(gather):
			}
		case <-timer.C:
		}
		m := w.o.Member()
		if m.Epoch != ready && w.addOwn(ctx, m) {
			ready = m.Epoch
		}
		wait := w.o.Poll
		freed = nil
		switch found, more := w.claim(ctx, m); {
		case more && found > 0:
			wait = 0
			freed = w.freed
		case more: // all places are taken
			freed = w.freed
		case found > 0:
			wait = w.o.Poll / 4
		}
		timer.Reset(wait)
	}
}

// claim takes what the load allows. More says that there may be more due than it took.
func (w *Worker) claim(ctx context.Context, m broker.Membership) (found int, more bool) {
	n, why := w.load().Allow()
	q := broker.JobClaim{Member: m, Kinds: w.kinds, Max: n, Lease: w.o.Lease}
	if n == 0 { // the heartbeat is no work, and says that the broker is there
		q.Kinds, q.Max = []string{broker.KindHeartbeat}, 1
	}
	if why != "" {
		w.log.Debug("fewer jobs are claimed", "most", n, "reason", why)
	}
	sent := time.Now()
	bounded, cancel := context.WithTimeout(ctx, callBound)
	defer cancel()
	got, err := w.o.Store.ClaimJobs(bounded, q)
	switch {
	case err != nil:
		w.failed("claim", m, err)
		return 0, false
	case w.away.Swap(false):
		w.log.Info("the job queue answers again")
	}
	if got.TakenBack > 0 {
		w.metrics.takenBack.Add(float64(got.TakenBack))
		w.log.Warn("runs of a lost broker taken back", "runs", got.TakenBack)
	}
	if idle := got.Status == broker.StatusStopped; idle != w.idle {
		w.idle = idle
		if idle {
			w.log.Warn("this broker is stopped and takes no jobs: its heartbeat job was cancelled")
		} else {
			w.log.Info("this broker takes jobs again")
		}
	}
	for _, j := range got.Jobs {
		w.start(j, m, sent)
	}
	return len(got.Jobs), n == 0 || len(got.Jobs) == q.Max
}

// load is what there is to decide on now.
func (w *Worker) load() Load {
	l := Load{CPUs: runtime.NumCPU()}
	l.Average, _ = w.o.LoadAverage() // a machine that does not say has none
	w.mu.Lock()
	l.Running = len(w.runs)
	w.mu.Unlock()
	if w.o.Logins != nil {
		l.Logins = w.o.Logins()
	}
	return l
}

// failed logs that the queue does not answer, once, and drops the claims of a membership that is over.
func (w *Worker) failed(call string, m broker.Membership, err error) {
	switch {
	case over(err):
		w.log.Warn("the broker's place in the cluster is gone, and its claims with it", "call", call, "error", err)
		for _, r := range w.current() {
			if r.member.Epoch == m.Epoch {
				r.cancel(errLost)
			}
		}
	case errors.Is(err, context.Canceled):
	case !w.away.Swap(true):
		w.log.Warn("the job queue does not answer", "call", call, "error", err)
	}
}

// over says whether the membership of a call is not the newest any more.
func over(err error) bool {
	return errors.Is(err, broker.ErrFenced) || errors.Is(err, broker.ErrRemoved)
}
