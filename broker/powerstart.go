package broker

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// KindWaitForStart is the job that starts a desktop and waits until it is up (JQ2). Its target is the
// desktop's name, its payload the id.
const KindWaitForStart = "wait_for_start"

const (
	startCheckEvery = 2 * time.Second
	wakeAgainAfter  = 30 * time.Second // magic packets get lost, and some machines miss them going down
)

// errStarting is a connect that has to be asked again; errStartFailed one whose desktop did not start.
var (
	errStarting    = errors.New("the desktop is being started")
	errStartFailed = errors.New("the desktop could not be started")
)

// startPlan is what a connect does when none of its desktops answers.
type startPlan struct {
	target StartTarget
	power  Power
	err    error // errStarting, errStartFailed or errUnreachable
	fresh  bool  // the start has to be asked for
	reason string
}

// planStart decides. A start that is under way, of the desktop that the user holds or owns, is waited
// for; one that has failed is told once; otherwise the first desktop is started that has an action and
// has not failed lately. own says that the list is the one desktop that the user must get. It is pure.
func planStart(t *table, targets []StartTarget, own bool) startPlan {
	plan := startPlan{err: errUnreachable}
	for _, d := range targets {
		p, ok := t.powerOf(d)
		if !ok {
			continue
		}
		s := d.Start
		switch {
		case s.underWay(p.StartTimeout) && own:
			return startPlan{target: d, power: p, err: errStarting, reason: s.progress()}
		case s != nil && s.Failed >= 0 && s.Failed < startAgain:
			if plan.err = errStartFailed; own {
				return startPlan{target: d, power: p, err: errStartFailed, reason: fmt.Sprintf("desktop %s: %s", d.Name, s.Error)}
			}
			plan.reason = fmt.Sprintf("desktop %s: %s", d.Name, s.Error)
		default:
			return startPlan{target: d, power: p, err: errStarting, fresh: true, reason: fmt.Sprintf("desktop %s does not answer: power action %s starts it", d.Name, p.Name)}
		}
	}
	return plan
}

// progress is what a user who waits is told.
func (s *StartState) progress() string {
	if s.Called < 0 {
		return "its power is about to be switched on"
	}
	return fmt.Sprintf("its power was switched on %s ago", s.Called.Round(time.Second))
}

// startError carries what the user may know of a start.
type startError struct {
	err    error
	reason string
	ref    string // of the log row of the start; empty: it was asked for before
}

// startRef is the reference of the start that an errStarting is about.
func startRef(err error) string {
	if e, ok := errors.AsType[*startError](err); ok {
		return e.ref
	}
	return ""
}

// Error is what a user may be told.
func (e *startError) Error() string { return e.reason }
func (e *startError) Unwrap() error { return e.err }

// start is a connect none of whose desktops answers. Its error is errStarting, errStartFailed or
// errUnreachable, or one of the store.
func (b *Broker) start(ctx context.Context, req ConnectRequest, s Session, offer OfferID, row LogRow, list []Candidate) error {
	t := b.table.Load()
	if len(t.setup.Powers) == 0 {
		return errUnreachable
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	ids := make([]string, len(list))
	for i, c := range list {
		ids[i] = c.ID
	}
	targets, err := b.o.Store.StartTargets(ctx, ids)
	if errors.Is(err, ErrNoStarts) {
		return fmt.Errorf("%w, and %w", errUnreachable, err)
	}
	if err != nil {
		return err
	}
	own := offer.Desktop != "" || list[0].Claimed
	plan := planStart(t, targets, own)
	if errors.Is(plan.err, errUnreachable) {
		return plan.err
	}
	out := &startError{err: plan.err, reason: plan.reason}
	if errors.Is(plan.err, errStartFailed) && own && offer.Desktop == "" { // the next connect gets another one
		if err := b.o.Store.DropClaim(ctx, plan.target.ID, s.Who); err != nil {
			return err
		}
	}
	if !plan.fresh {
		return out
	}
	power := b.newRow(LogPower, row.ClientAddr, row.ClientName)
	power.Who, power.Session, power.Desktop, power.Reason = row.Who, row.Session, plan.target.Name, []string{plan.reason}
	if own {
		b.record(ctx, power, req.Arrived)
	} else { // it is his from now on, or somebody else would be sent to it when it is up
		power.Duration = time.Since(req.Arrived)
		if _, err := b.o.Store.Connect(ctx, ConnectRecord{Session: s, Offer: offer, Desktop: plan.target.ID, Log: power}); err != nil {
			return err
		}
	}
	if err := b.o.Store.RecordStart(ctx, plan.target.ID, StartAsked, ""); err != nil {
		return err
	}
	if _, err := b.AddJobs(ctx, NewJob{Kind: KindWaitForStart, Target: plan.target.Name, Payload: plan.target.ID, Unique: true}); err != nil {
		return err
	}
	out.ref = power.Ref
	return out
}

// startJob is one look at a desktop that is being started: the first calls the power action, each says
// whether it is up. A job that is not at its end asks to be run again, so that a hundred desktops that
// boot at once take no place from other jobs.
func (b *Broker) startJob(ctx context.Context, j Job) (string, error) {
	d, p, err := b.startTarget(ctx, j)
	if errors.Is(err, ErrUnavailable) {
		return "", &JobAgain{After: startCheckEvery, Why: shorten(err.Error())}
	}
	if err != nil {
		return "", err
	}
	if d.Start == nil { // it was up, or nobody has asked: there is nothing to wait for
		return "desktop " + d.Name + " is up", nil
	}
	if d.Alive || dial(ctx, Candidate{Host: d.Host, Port: d.Port}) {
		b.metrics.starts.WithLabelValues("ok").Inc()
		return fmt.Sprintf("desktop %s is up after %s", d.Name, d.Start.Asked.Round(time.Second)), b.recordStart(ctx, d, StartUp, "")
	}
	if d.Start.Asked >= p.StartTimeout {
		return "", b.startFailed(ctx, d, fmt.Sprintf("it did not answer within %s", p.StartTimeout))
	}
	if d.Start.Called < 0 || p.Kind == PowerWOL && d.Start.Called >= wakeAgainAfter {
		said, err := p.call(ctx, d)
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if err != nil {
			return "", b.startFailed(ctx, d, fmt.Sprintf("power action %s: %v", p.Name, err))
		}
		if err := b.recordStart(ctx, d, StartCalled, ""); err != nil {
			return "", err
		}
		return "", &JobAgain{After: startCheckEvery, Why: shorten(fmt.Sprintf("power action %s: %s", p.Name, said))}
	}
	return "", &JobAgain{After: startCheckEvery, Why: fmt.Sprintf("desktop %s does not answer yet, after %s", d.Name, d.Start.Asked.Round(time.Second))}
}

// startTarget reads what a job is about. A desktop or an action that has gone is the end of it.
func (b *Broker) startTarget(ctx context.Context, j Job) (StartTarget, Power, error) {
	bounded, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	list, err := b.o.Store.StartTargets(bounded, []string{j.Payload})
	if err != nil {
		return StartTarget{}, Power{}, err
	}
	if len(list) == 0 {
		return StartTarget{}, Power{}, fmt.Errorf("desktop %s: %w", j.Target, ErrNotFound)
	}
	p, ok := b.table.Load().powerOf(list[0])
	if !ok && list[0].Start != nil {
		return list[0], p, b.startFailed(ctx, list[0], "no power action is set up for it any more")
	}
	return list[0], p, nil
}

func (b *Broker) recordStart(ctx context.Context, d StartTarget, e StartEvent, why string) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return b.o.Store.RecordStart(ctx, d.ID, e, why)
}

// startFailed keeps why, for whoever waits, and makes it the end of the job.
func (b *Broker) startFailed(ctx context.Context, d StartTarget, why string) error {
	b.metrics.starts.WithLabelValues("failed").Inc()
	b.log.Warn("a desktop did not start", "desktop", d.Name, "reason", why)
	return errors.Join(fmt.Errorf("desktop %s: %s", d.Name, why), b.recordStart(ctx, d, StartFailed, shorten(why)))
}
