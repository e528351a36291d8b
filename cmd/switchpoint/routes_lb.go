package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"switchpoint/admin"
	"switchpoint/healthcheck"
	"switchpoint/lb"
)

func (a *app) lbRoutes() map[string]admin.Operation {
	return map[string]admin.Operation{
		"GET lb/status": a.withLB(a.showLB),
		"GET lb/why":    a.withLB(a.showMemberWhy),
		"GET lb/nodes":  a.withLB(a.showLBNodes),
		"POST lb/say":   a.withLB(a.sayOfMember),
	}
}

// withLB answers only where the node is a balancer.
func (a *app) withLB(op admin.Operation) admin.Operation {
	return func(ctx context.Context, r admin.Request) (any, error) {
		if a.lb == nil {
			return nil, notHere("lb")
		}
		return op(ctx, r)
	}
}

func (a *app) showLB(_ context.Context, r admin.Request) (any, error) {
	s := a.lb.Status()
	name := r.Query.Get("pool")
	if name == "" {
		return s, nil
	}
	p, ok := poolOf(s, name)
	if !ok {
		return nil, &admin.Error{Status: http.StatusNotFound, Text: fmt.Sprintf("%q is no pool of this node; it has %s", name, strings.Join(poolNames(s), ", "))}
	}
	s.Pools = []lb.PoolStatus{p}
	s.Listeners = slices.DeleteFunc(s.Listeners, func(l lb.ListenerStatus) bool { return !slices.Contains(p.Listeners, l.Name) })
	return s, nil
}

func poolOf(s lb.Status, name string) (lb.PoolStatus, bool) {
	if i := slices.IndexFunc(s.Pools, func(p lb.PoolStatus) bool { return p.Name == name }); i >= 0 {
		return s.Pools[i], true
	}
	return lb.PoolStatus{}, false
}

func poolNames(s lb.Status) (names []string) {
	for _, p := range s.Pools {
		names = append(names, p.Name)
	}
	return names
}

func (a *app) showLBNodes(context.Context, admin.Request) (any, error) { return a.lb.Nodes(), nil }

// showMemberWhy tells why a member gets what it gets, and all that its monitor knows.
func (a *app) showMemberWhy(_ context.Context, r admin.Request) (any, error) {
	pool := r.Query.Get("pool")
	why, err := a.lb.Why(pool, r.Query.Get("member"))
	if err != nil {
		return nil, &admin.Error{Status: http.StatusNotFound, Text: err.Error()}
	}
	lines := why.Lines()
	monitor := a.poolMonitor(pool)
	if monitor == "" {
		return explanation{append(lines, "", "the pool has no monitor: its members count as up")}, nil
	}
	if detail, ok := a.health.engine.Show(healthcheck.Key{Address: why.Member.Address, Monitor: monitor}); ok {
		lines = slices.Concat(lines, []string{""}, detail.Lines())
	}
	return explanation{lines}, nil
}

// poolMonitor names the monitor of a pool; empty: it has none.
func (a *app) poolMonitor(name string) string {
	for _, p := range a.config.Load().cfg.LB.Pools {
		if p.Name == name {
			return p.Monitor
		}
	}
	return ""
}

// sayOfMember puts an operator's word into force, hands it to the other nodes, and tells what it did.
func (a *app) sayOfMember(ctx context.Context, r admin.Request) (any, error) {
	var w lb.Word
	if err := json.Unmarshal(r.Body, &w); err != nil {
		return nil, badRequest(fmt.Errorf("read what is said: %w", err))
	}
	before, err := a.lb.Why(w.Pool, w.Member)
	if err == nil {
		err = a.lb.Operate(w)
	}
	if err != nil {
		return nil, badRequest(err)
	}
	after, err := a.lb.Why(w.Pool, w.Member)
	if err != nil {
		return nil, badRequest(err) // a reload took it away this moment
	}
	return lbChange{
		Lines: saidOfMember(w, before, after),
		Node:  a.config.Load().cfg.Node.Name, Acks: a.lb.TellNodes(ctx),
	}, nil
}

// saidOfMember tells what a word changed.
func saidOfMember(w lb.Word, before, after lb.Why) []string {
	name := after.Pool.Name + "/" + after.Member.Name
	var lines []string
	for _, gone := range before.Member.Words {
		if !slices.ContainsFunc(after.Member.Words, func(o lb.Word) bool { return o.Version == gone.Version }) {
			lines = append(lines, fmt.Sprintf("%s is not %s any more", name, gone.Said()))
		}
	}
	for _, now := range after.Member.Words {
		if !slices.ContainsFunc(before.Member.Words, func(o lb.Word) bool { return o.Version == now.Version }) {
			lines = append(lines, fmt.Sprintf("%s is %s", name, now.Said()))
		}
	}
	if len(lines) == 0 {
		lines = []string{fmt.Sprintf("nothing was said of %s before", name)}
	}
	switch was, is := before.Member.State, after.Member.State; {
	case was != is:
		lines = append(lines, fmt.Sprintf("%s it is %s instead of %s", sign(after.Takes()), is, was))
	case w.Do != lb.Weight:
		lines = append(lines, fmt.Sprintf("%s it is %s as before: %s", sign(after.Takes()), is, after.Member.Why))
	}
	if after.Member.Drain != "" {
		lines = append(lines, "  "+after.Member.Drain)
	}
	if after.Nobody {
		text := fmt.Sprintf("WARNING: no member of pool %s can take new clients now", after.Pool.Name)
		if after.Pool.ServedBy != "" {
			text += "; the pool " + after.Pool.ServedBy + " serves instead"
		}
		lines = append(lines, text)
	}
	return lines
}
