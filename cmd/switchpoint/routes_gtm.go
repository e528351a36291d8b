package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"switchpoint/admin"
	"switchpoint/gtm"
	"switchpoint/gtm/nodes"
	"switchpoint/gtm/steer"
)

func (a *app) gtmRoutes() map[string]admin.Operation {
	return map[string]admin.Operation{
		"GET gtm/status":         a.withGTM(a.showGTM),
		"GET gtm/why":            a.withGTM(a.showWhy),
		"GET gtm/delegation":     a.withGTM(a.showDelegation),
		"POST gtm/mode":          a.withGTM(a.setMode),
		"POST gtm/force":         a.withGTM(a.forceGTM),
		"POST gtm/release":       a.withGTM(a.releaseGTM),
		"GET gtm/sites":          a.withGTM(a.showSites),
		"GET gtm/sites/diff":     a.withGTM(a.showSitesDiff),
		"POST gtm/sites/approve": a.withGTM(a.approveSites),
	}
}

// withGTM answers only where the node is a gtm.
func (a *app) withGTM(op admin.Operation) admin.Operation {
	return func(ctx context.Context, r admin.Request) (any, error) {
		if a.gtm == nil {
			return nil, notHere("gtm")
		}
		return op(ctx, r)
	}
}

func (a *app) showGTM(_ context.Context, r admin.Request) (any, error) {
	s := a.gtm.Status()
	if name := r.Query.Get("name"); name != "" {
		one, err := nameStatus(s, name)
		if err != nil {
			return nil, err
		}
		s.Names = []steer.NameStatus{one}
	}
	return s, nil
}

// nameStatus finds one steered name.
func nameStatus(s gtm.Status, name string) (steer.NameStatus, error) {
	var known []string
	for _, n := range s.Names {
		if strings.EqualFold(n.Name, strings.TrimSuffix(name, ".")) {
			return n, nil
		}
		known = append(known, n.Name)
	}
	text := fmt.Sprintf("%q is not a steered name of this node", name)
	if len(known) > 0 {
		text += "; it is one of " + strings.Join(known, ", ")
	}
	return steer.NameStatus{}, &admin.Error{Status: http.StatusNotFound, Text: text}
}

func (a *app) showWhy(_ context.Context, r admin.Request) (any, error) {
	s := a.gtm.Status()
	n, err := nameStatus(s, r.Query.Get("name"))
	if err != nil {
		return nil, err
	}
	lines, found := whyName(n, a.steeredName(n.Name), s.Operator, r.Query.Get("datacenter"), time.Now())
	if !found {
		return nil, &admin.Error{
			Status: http.StatusNotFound,
			Text:   fmt.Sprintf("%s has no pool in %q; `gtm status %s` shows those it has", n.Name, r.Query.Get("datacenter"), n.Name),
		}
	}
	return explanation{lines}, nil
}

// steeredName is what the configuration says of a name, with defaults.
func (a *app) steeredName(name string) gtm.Name {
	for _, n := range a.config.Load().cfg.GTM.Names {
		if strings.EqualFold(strings.TrimSuffix(n.Name, "."), name) {
			return n.WithDefaults()
		}
	}
	return gtm.Name{}.WithDefaults() // a reload took it away this moment
}

func (a *app) showDelegation(_ context.Context, r admin.Request) (any, error) {
	list, err := a.config.Load().gtm.Delegations(r.Query.Get("name"))
	if err != nil {
		return nil, badRequest(err)
	}
	return list, nil
}

// readOrder reads what an operator wants. The moment is the node's own.
func readOrder(r admin.Request) (gtmOrder, error) {
	var o gtmOrder
	if err := json.Unmarshal(r.Body, &o); err != nil {
		return o, badRequest(fmt.Errorf("read the order: %w", err))
	}
	o.At = time.Now().UTC()
	return o, nil
}

func (a *app) setMode(ctx context.Context, r admin.Request) (any, error) {
	o, err := readOrder(r)
	if err != nil {
		return nil, err
	}
	if len(o.Reason) == 0 {
		return nil, badRequest(errors.New("a reason is missing; say why with --reason"))
	}
	was := a.gtm.Status().Mode
	return a.operate(ctx, o, gtm.SetMode(o.Mode, o.Note), func() []string {
		if was == o.Mode {
			return []string{fmt.Sprintf("the mode of operation was %s before", was)}
		}
		return []string{fmt.Sprintf("the mode of operation is %s instead of %s", o.Mode, was)}
	})
}

func (a *app) forceGTM(ctx context.Context, r admin.Request) (any, error) {
	o, err := readOrder(r)
	if err != nil {
		return nil, err
	}
	v := steer.Override{Pattern: o.Pattern, State: o.State, From: o.From.UTC(), Until: o.Until.UTC(), Note: o.Note}
	if o.From.IsZero() {
		v.From = time.Time{}
	}
	if o.Until.IsZero() {
		v.Until = time.Time{}
	}
	if len(named(a.gtm.Status(), o.Pattern)) == 0 && !o.Force {
		return nil, badRequest(fmt.Errorf("%q names nothing that this node steers; `gtm status` shows what there is, and --force says it for other nodes", o.Pattern))
	}
	return a.operate(ctx, o, gtm.Force(v), func() []string {
		return []string{fmt.Sprintf("%s is forced %s %s", v.Pattern, v.State, span(v, time.Now()))}
	})
}

func (a *app) releaseGTM(ctx context.Context, r admin.Request) (any, error) {
	o, err := readOrder(r)
	if err != nil {
		return nil, err
	}
	var removed []steer.Override
	now := a.gtm.Status()
	under := named(now, o.Pattern)
	held := slices.DeleteFunc(slices.Clone(under), func(p steer.PoolStatus) bool { return !p.Held })
	if len(held) == 0 && !o.Force && !slices.ContainsFunc(now.Operator.Overrides, func(v steer.Override) bool {
		return steer.Covers(o.Pattern, v.Pattern)
	}) {
		return nil, &admin.Error{Status: http.StatusNotFound, Text: nothingToRelease(o.Pattern, under, now.Operator)}
	}
	return a.operate(ctx, o, gtm.Release(o.Pattern, o.Note, &removed), func() []string {
		var lines []string
		for _, v := range removed {
			lines = append(lines, fmt.Sprintf("%s is not forced %s any more (%s)", v.Pattern, v.State, by(v.Note)))
		}
		if len(held) > 0 {
			lines = append(lines, fmt.Sprintf("%d held data centres may take part again", len(held)))
		}
		return lines
	})
}

// nothingToRelease says so, and by which wider pattern the pools under this one are forced.
func nothingToRelease(pattern string, under []steer.PoolStatus, doc *steer.Operator) string {
	text := fmt.Sprintf("nothing is forced or held under %q on this node", pattern)
	for _, v := range doc.Overrides {
		if slices.ContainsFunc(under, func(p steer.PoolStatus) bool { return concerns(v.Pattern, p) }) {
			return text + fmt.Sprintf("; it is forced %s, with all else that it names, by %q: release that", v.State, v.Pattern)
		}
	}
	return text + "; --force says it all the same, for what other nodes hold"
}

// operate makes a change and tells what it did: what tell says, and which pools went in or out.
func (a *app) operate(ctx context.Context, o gtmOrder, change func(*steer.Operator) error, tell func() []string) (any, error) {
	before := a.gtm.Status()
	doc, acks, err := a.gtm.Operate(ctx, o.Owner, change, o.Force)
	var unsafe *gtm.UnsafeError
	switch {
	case errors.Is(err, nodes.ErrReplaced):
		return nil, &admin.Error{Status: http.StatusConflict, Text: err.Error()}
	case errors.As(err, &unsafe):
		text := "nothing was changed: " + unsafe.Error()
		if unsafe.Forcible {
			text += "; --force does it all the same"
		}
		return nil, &admin.Error{Status: http.StatusConflict, Text: text}
	case err != nil:
		return nil, badRequest(err)
	}
	after := a.gtm.Status()
	lines := slices.Concat(tell(), moves(before, after), spared(before, after))
	return gtmChange{Lines: lines, Version: doc.Version, Node: a.config.Load().cfg.Node.Name, Acks: acks}, nil
}

// moves tells which pools take part now and did not, or the other way round.
func moves(before, after gtm.Status) []string {
	in := map[string]bool{}
	for _, n := range before.Names {
		for _, p := range n.Pools {
			in[n.Name+"/"+p.Datacenter] = p.In
		}
	}
	var lines []string
	for _, n := range after.Names {
		for _, p := range n.Pools {
			if was, known := in[n.Name+"/"+p.Datacenter]; known && was != p.In {
				lines = append(lines, fmt.Sprintf("%s %s %s is %s: %s", sign(p.In), n.Name, p.Datacenter, inOut(p.In), poolWhy(p)))
			}
		}
	}
	if len(lines) == 0 {
		lines = []string{"no data centre of this node goes in or out by it"}
	}
	return lines
}

// spared tells which names an order leaves as they are, because they can spare no datacenter.
func spared(before, after gtm.Status) []string {
	known := map[string]bool{}
	for _, n := range before.Names {
		for _, text := range n.Ignored {
			known[n.Name+" "+text] = true
		}
	}
	var lines []string
	for _, n := range after.Names {
		for _, text := range n.Ignored {
			if !known[n.Name+" "+text] {
				lines = append(lines, fmt.Sprintf("! %s stays as it is: %s", n.Name, text))
			}
		}
	}
	return lines
}

// named are the pools that a pattern names, or of which it names a member.
func named(s gtm.Status, pattern string) []steer.PoolStatus {
	var out []steer.PoolStatus
	for _, n := range s.Names {
		for _, p := range n.Pools {
			if concerns(pattern, p) {
				out = append(out, p)
			}
		}
	}
	return out
}
