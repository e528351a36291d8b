package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"switchpoint/admin"
	"switchpoint/broker"
	"switchpoint/peer"
)

// defaultBlock is how long an operator's block of a user lasts when he does not say.
const defaultBlock = 24 * time.Hour

// operationRoutes keep logins away from this broker.
func (a *app) operationRoutes() map[string]admin.Operation {
	return map[string]admin.Operation{"POST drain": a.ofBroker(a.drain)}
}

// ofStore is ofBroker for what the store answers: in an outage that says what it was taken from.
func (a *app) ofStore(op admin.Operation) admin.Operation {
	return a.ofBroker(func(ctx context.Context, r admin.Request) (any, error) {
		out, err := op(ctx, r)
		if err != nil {
			return nil, err
		}
		return admin.Noted{Value: out, Note: a.servedFrom()}, nil
	})
}

// servedFrom says what the store's answers are taken from, or "": from the database.
func (a *app) servedFrom() string {
	if a.outage == nil {
		return ""
	}
	return a.outage.Served()
}

// lastingOf reads the length of time "for"; 0: there is none.
func lastingOf(r admin.Request) (time.Duration, error) {
	text := r.Query.Get("for")
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, badRequest(fmt.Errorf("for=%q is no length of time", text))
	}
	return d, nil
}

func (a *app) drain(ctx context.Context, r admin.Request) (any, error) {
	on, err := strconv.ParseBool(r.Query.Get("on"))
	if err != nil {
		return nil, badRequest(fmt.Errorf("say on=true or on=false"))
	}
	long, err := lastingOf(r)
	if err != nil {
		return nil, err
	}
	var text string
	if on {
		text, err = a.beginDrain(ctx, long, r.Query.Get("why"), operator(r))
	} else {
		text, err = a.endDrain(ctx, operator(r))
	}
	return explanation{[]string{text}}, err
}

func (a *app) beginDrain(ctx context.Context, long time.Duration, why, by string) (string, error) {
	d := a.broker.BeginDrain(ctx, long, why, by)
	return fmt.Sprintf("broker %s is %s: is_alive says 503, so that balancers send logins to others; who comes all the same is served", a.broker.Node().Name, d), nil
}

func (a *app) endDrain(ctx context.Context, by string) (string, error) {
	if !a.broker.EndDrain(ctx, by) {
		return "", &admin.Error{Status: http.StatusConflict, Text: "broker " + a.broker.Node().Name + " is not drained by anybody"}
	}
	return "broker " + a.broker.Node().Name + " takes logins again", nil
}

func (a *app) blockUser(ctx context.Context, r admin.Request) (any, error) {
	long, err := lastingOf(r)
	if err != nil {
		return nil, err
	}
	text, err := a.block(ctx, r.Query.Get("user"), long, r.Query.Get("why"), operator(r))
	return explanation{[]string{text}}, err
}

func (a *app) block(ctx context.Context, user string, long time.Duration, why, by string) (string, error) {
	if long == 0 {
		long = defaultBlock
	}
	if err := a.broker.BlockUser(ctx, user, long, why, by); err != nil {
		return "", err
	}
	return fmt.Sprintf("user %s may not sign in for %s; sessions that he has go on", user, long), nil
}

// lift ends blocks for the console; with the command line, see liftLimits.
func (a *app) lift(ctx context.Context, user, address, by string) (string, error) {
	lines, err := a.liftBlocks(ctx, user, address, by)
	return strings.Join(lines, "; "), err
}

func (a *app) maintain(ctx context.Context, name, why, by string) (string, error) {
	if err := a.broker.BeginMaintenance(ctx, name, why, by); err != nil {
		return "", err
	}
	return "nobody is connected to desktop " + name + " anew; who works on it goes on", nil
}

func (a *app) endMaintain(ctx context.Context, name, by string) (string, error) {
	if err := a.broker.EndMaintenance(ctx, name, by); err != nil {
		return "", err
	}
	return "desktop " + name + " is again what its center says", nil
}

func (a *app) addAssignment(ctx context.Context, r admin.Request) (any, error) {
	text, err := a.assign(ctx, broker.Assignment{User: r.Query.Get("user"), Directory: r.Query.Get("directory"), Desktop: r.Query.Get("desktop")}, r.Query.Get("why"), operator(r))
	return explanation{[]string{text}}, err
}

func (a *app) assign(ctx context.Context, to broker.Assignment, why, by string) (string, error) {
	if err := a.broker.AssignDesktop(ctx, to, why, by); err != nil {
		return "", err
	}
	return fmt.Sprintf("desktop %s is user %s's own", to.Desktop, to.User), nil
}

// operateMethod is the peer call by which brokers that are in an outage hear what an operator has said at one
// of them.
const operateMethod = "broker.operate"

// tellOperation brings an operation to all other brokers of the cluster that are trusted, and says why some of them do
// not have it.
func (a *app) tellOperation(ctx context.Context, act broker.Act) map[string]error {
	failed := make(map[string]error)
	for _, b := range askBrokers[struct{}](ctx, a, operateMethod, act) {
		if b.err != nil {
			failed[b.name] = b.err
		}
	}
	return failed
}

func (a *app) answerOperation(ctx context.Context, from peer.Trust, body []byte) ([]byte, error) {
	return answerBroker(a, from, body, "operations are", func(act broker.Act) (any, error) {
		if a.outage == nil {
			return struct{}{}, nil
		}
		return struct{}{}, a.outage.Hear(ctx, act)
	})
}
