package broker

import (
	"context"
	"fmt"
	"time"
)

// How the outcome of a login is had that waits at another broker of the cluster: the broker that its id
// names is asked over peer, again and again, because a call that waits there would hold one of the few
// connections that brokers have to each other.
const (
	askWaitingEvery = time.Second
	askWaitingFor   = time.Second // one question
)

// WaitingQuestion asks the broker that has a login about it: by the hash of its id.
type WaitingQuestion struct {
	IDHash []byte `json:"id_hash"`
}

// WaitingAnswer is its answer; Result is nil when it knows of no such login. The ID of a Waiting in it
// is empty.
type WaitingAnswer struct {
	Result *LoginResult `json:"result,omitempty"`
}

// LoginOutcome waits for the outcome of a login that Login said to be waiting, for as long as
// answer_within says, and then gives it or says again that it waits. Once there is an outcome, it is
// given to whoever asks within the next two minutes. An id that no broker knows is refused with
// CodeLoginUnknown: the user has to sign in again.
func (b *Broker) LoginOutcome(ctx context.Context, id string) LoginResult {
	unknown := LoginResult{Refusal: refusal(CodeLoginUnknown, "")}
	parsed, err := parseWaitingID(id)
	if err != nil {
		return unknown
	}
	until := time.Now().Add(b.cfg.AnswerWithin)
	if parsed.site != b.cfg.SiteID {
		return b.outcomeElsewhere(ctx, parsed, until)
	}
	p := b.admit.find(parsed.hash())
	if p == nil {
		return unknown
	}
	return b.admit.await(ctx, p, b.cfg.SiteID, until)
}

// AnswerWaiting answers the question of another broker of the cluster, at once.
func (b *Broker) AnswerWaiting(q WaitingQuestion) (WaitingAnswer, error) {
	if len(q.IDHash) != 32 {
		return WaitingAnswer{}, fmt.Errorf("the hash of an id with %d bytes", len(q.IDHash))
	}
	p := b.admit.find([32]byte(q.IDHash))
	if p == nil {
		return WaitingAnswer{}, nil
	}
	r := b.admit.outcome(p, b.cfg.SiteID)
	if r.Waiting != nil {
		w := *r.Waiting
		w.ID = ""
		r.Waiting = &w
	}
	return WaitingAnswer{Result: &r}, nil
}

// outcomeElsewhere asks the broker that has the login until it has ended or the moment until has come.
func (b *Broker) outcomeElsewhere(ctx context.Context, id waitingID, until time.Time) LoginResult {
	for {
		r := b.askWaiting(ctx, id)
		if r.Waiting == nil || time.Until(until) < askWaitingEvery {
			return r
		}
		waitUntil(ctx, time.Now().Add(askWaitingEvery))
		if ctx.Err() != nil {
			return LoginResult{Refusal: refusal(CodeAbandoned, "")}
		}
	}
}

// askWaiting asks the broker that has the login once. One that lives and does not answer may do so
// later, for as long as a login may take; one that does not live has taken the login with it.
func (b *Broker) askWaiting(ctx context.Context, id waitingID) LoginResult {
	unknown := LoginResult{Refusal: refusal(CodeLoginUnknown, "")}
	name := b.originals.living(id.site)
	if b.o.AskWaiting == nil || name == "" {
		return unknown
	}
	ctx, cancel := context.WithTimeout(ctx, askWaitingFor)
	defer cancel()
	hash, asked := id.hash(), time.Now()
	answer, err := b.o.AskWaiting(ctx, name, WaitingQuestion{IDHash: hash[:]})
	switch {
	case err == nil:
		b.originals.heard(id.site)
	case b.originals.unheard(id.site, asked) > b.cfg.LoginDeadline: // no login has waited that long
		return unknown
	default:
		b.log.Info("the broker of a waiting login does not answer", "broker", name, "site_id", id.site, "error", err)
		return LoginResult{Waiting: &Waiting{ID: id.String(), RetryAfter: 2 * time.Second}}
	}
	r := answer.Result
	if r == nil || !r.whole() {
		return unknown
	}
	if r.Waiting != nil {
		r.Waiting.ID = id.String()
	}
	return *r
}

// whole says whether a result from another broker is one.
func (r *LoginResult) whole() bool {
	return r.Refusal != nil || r.Redirect != "" || r.Prompt != nil || r.Waiting != nil || r.Token != ""
}
