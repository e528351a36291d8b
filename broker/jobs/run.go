package jobs

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"

	"switchpoint/broker"
)

// Why the context of a run ends before its handler returns.
var (
	errLost      = errors.New("the lease has run out")
	errCancelled = errors.New("cancelled")
	errStopping  = errors.New("the broker stops")
)

// maxText bounds what a run leaves in its row.
const maxText = 1000

// run is one claimed job in this process.
type run struct {
	job     broker.Job
	member  broker.Membership // that it was claimed with
	ctx     context.Context
	cancel  context.CancelCauseFunc
	lease   *time.Timer   // ends the context when the lease does
	done    chan struct{} // the handler has returned
	started time.Time
	end     broker.JobEnd // once done
}

func (r *run) key() broker.JobRun { return broker.JobRun{ID: r.job.ID, Run: r.job.Run} }

// start runs a claimed job; sent is when the claim was.
func (w *Worker) start(j broker.Job, m broker.Membership, sent time.Time) {
	r := &run{job: j, member: m, done: make(chan struct{}), started: time.Now()}
	r.ctx, r.cancel = context.WithCancelCause(context.Background())
	r.lease = time.AfterFunc(time.Until(sent.Add(w.o.Lease)), func() { r.cancel(errLost) })
	w.mu.Lock()
	before := w.turns[j.ID]
	w.runs[r.key()], w.turns[j.ID] = r, r
	w.mu.Unlock()
	w.wg.Go(func() {
		if before != nil { // a run that was lost here and whose handler is slow to return
			<-before.done
		}
		result, err := w.call(r)
		r.end = outcome(r.key(), result, err, context.Cause(r.ctx))
		close(r.done)
		w.metrics.took(r)
		w.ended <- r
	})
}

// call runs the handler and contains its panic.
func (w *Worker) call(r *run) (result string, err error) {
	defer func() {
		if p := recover(); p != nil {
			w.log.Error("a job has panicked", "kind", r.job.Kind, "target", r.job.Target, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	if err := context.Cause(r.ctx); err != nil {
		return "", err
	}
	return w.handlers[r.job.Kind](r.ctx, r.job)
}

// outcome says how a run ended. A handler that returned no error has done its work, whatever became
// of its context meanwhile.
func outcome(key broker.JobRun, result string, err, cause error) broker.JobEnd {
	e := broker.JobEnd{JobRun: key, How: broker.JobFinished, Result: clip(result)}
	var again *Again
	switch {
	case err == nil:
	case errors.As(err, &again):
		e.How, e.After, e.Result = broker.JobPending, max(0, again.After), clip(again.Why)
	case errors.Is(cause, errCancelled):
		e.How = broker.JobCancelled
	case cause != nil: // it was not the handler's fault
		e.How, e.Result = broker.JobPending, clip("not finished: "+cause.Error())
	default:
		e.How, e.Error = broker.JobAborted, clip(err.Error())
	}
	return e
}

// clip makes text one line of bounded length that any store takes.
func clip(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	for len(text) > maxText {
		_, n := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-n]
	}
	return text
}

// forget takes a run off the books.
func (w *Worker) forget(r *run) {
	r.lease.Stop()
	r.cancel(nil)
	w.mu.Lock()
	delete(w.runs, r.key())
	if w.turns[r.job.ID] == r {
		delete(w.turns, r.job.ID)
	}
	w.mu.Unlock()
	select {
	case w.freed <- struct{}{}:
	default:
	}
}

// current lists the runs on the books.
func (w *Worker) current() []*run {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]*run, 0, len(w.runs))
	for _, r := range w.runs {
		out = append(out, r)
	}
	return out
}

// drain gives jobs in flight their time, then ends their contexts and waits for them.
func (w *Worker) drain() {
	all := make(chan struct{})
	go func() { w.wg.Wait(); close(all) }()
	for wait := w.o.Drain; ; wait = defaultDrain {
		select {
		case <-all:
			return
		case <-time.After(wait):
		}
		for _, r := range w.current() {
			select {
			case <-r.done:
			default:
				r.cancel(errStopping)
				w.log.Info("the broker stops: a job in flight is given back", "kind", r.job.Kind, "target", r.job.Target)
			}
		}
	}
}
