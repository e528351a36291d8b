package broker

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"
)

// workLogin is a login in its place.
func (b *Broker) workLogin(p *pending) {
	a := p.attempt
	ctx, cancel := b.admit.begin(p)
	defer cancel()
	waited := p.turn.started.Sub(p.turn.arrived)
	if !p.turn.decision.start {
		a.because("waited %s for a place", waited.Round(time.Millisecond))
	}
	b.metrics.waited.Observe(waited.Seconds())
	res, code := b.withoutPanic(ctx, a)
	if code != "" && over(ctx) {
		code = b.lostCode(p, b.admit.ended(p))
	}
	p.worked = time.Since(p.turn.started)
	b.admit.leave(p) // what follows must not keep others waiting
	b.admit.end(p, b.answer(ctx, p, res, code))
}

// over says whether ctx has ended or its deadline has passed: a connection that has the same deadline may
// notice before the context does.
func over(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}

// withoutPanic is admitted. A defect that one login meets must keep neither its place nor its client
// waiting, nor end the broker for all others.
func (b *Broker) withoutPanic(ctx context.Context, a *attempt) (res LoginResult, code string) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		what := fmt.Sprintf("%T", p) // a value of any other type may hold what the client sent
		if err, ok := p.(runtime.Error); ok {
			what = err.Error()
		}
		b.log.Error("login met a defect", "ref", a.row.Ref, "panic", what, "stack", string(debug.Stack()))
		a.because("a defect of this broker: %s", what)
		res, code = LoginResult{}, CodeInternal
	}()
	return b.admitted(ctx, a)
}

// loseLogin answers a login that gets no place.
func (b *Broker) loseLogin(p *pending, why lossReason) {
	b.admit.end(p, b.answer(b.admit.base, p, LoginResult{}, b.lostCode(p, why)))
}

// lostCode says why in the log row of a login that was not worked to its end.
func (b *Broker) lostCode(p *pending, why lossReason) string {
	b.metrics.lost.WithLabelValues(string(why)).Inc()
	a := p.attempt
	switch why {
	case lossBusy:
		a.because("%s", p.turn.decision.reason)
		return CodeBusy
	case lossEvicted:
		a.because("the queue is full, and its client has more logins in it than others")
		return CodeBusy
	case lossDeadline:
		a.because("it could not be answered within %s (login_deadline)", b.cfg.LoginDeadline)
		return CodeTimedOut
	case lossAbandoned:
		a.because("its client has gone")
		return CodeAbandoned
	default:
		a.because("this broker stops")
		return CodeStopped
	}
}

// answer writes down a refusal that no transaction has written down yet, and ends the login. A failed
// sign-in is not answered before its time.
func (b *Broker) answer(ctx context.Context, p *pending, res LoginResult, code string) LoginResult {
	a := p.attempt
	if code != "" {
		b.record(ctx, a.row.Refused(code), a.Arrived)
		res = a.refused(code)
	}
	if res.Refusal != nil && code == CodeBusy {
		res.Refusal.behind(p.turn.decision)
	}
	if res.Refusal != nil && atTheFloor(res.Refusal.Code) {
		waitUntil(ctx, floorAfter(a.Arrived, time.Now()))
	}
	took := time.Since(a.Arrived)
	b.metrics.login(res, took, p.worked)
	if res.Refusal != nil {
		b.log.Info("login refused", "code", res.Refusal.Code, "ref", res.Refusal.Ref, "client", a.ClientAddr, "took", took)
	} else {
		b.log.Debug("login", "redirect", res.Redirect, "ref", res.Ref, "client", a.ClientAddr, "took", took)
	}
	return res
}

// atTheFloor says whether a refusal is held back until the failureFloor: all are that may depend on
// who signs in, which those do not that the queue or the end of the broker decides.
func atTheFloor(code string) bool {
	switch code {
	case CodeBusy, CodeStopped, CodeTimedOut, CodeAbandoned:
		return false
	}
	return true
}

// behind tells a client that is refused how many logins it would have had to wait for.
func (r *Refusal) behind(d decision) {
	if r.Position = d.ahead; d.ahead > 0 {
		r.Text = fmt.Sprintf("Many people are signing in right now: %d are waiting. Please try again.", d.ahead)
	}
	r.RetryAfter = min(max(r.RetryAfter, d.expect/10), 30*time.Second).Round(time.Second)
}
