package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/netip"

	"switchpoint/admin"
	"switchpoint/broker"
)

// The admin operations of one node (SE1: socket or token, see admin). Every path is below
// /admin/v1/.
func (a *app) routes() map[string]admin.Operation {
	all := map[string]admin.Operation{
		"GET status":          a.showStatus,
		"GET health":          a.showHealth,
		"GET health/show":     a.showCheck,
		"GET health/history":  a.showHistory,
		"POST health/force":   a.forceHealth,
		"POST health/release": a.releaseHealth,
		"GET explain/dns":     a.explainDNS,
		"GET explain/lb":      a.explainLB,
		"GET explain/login":   a.ofStore(a.explainLogin),
		"GET explain/ref":     a.ofStore(a.explainRef),
		"GET setup":           a.ofStore(a.showSetup),
		"POST setup":          a.ofBroker(a.applySetup),
		"POST reload":         a.reloadNow,
	}
	maps.Copy(all, a.gtmRoutes())
	maps.Copy(all, a.lbRoutes())
	maps.Copy(all, a.inventoryRoutes())
	maps.Copy(all, a.desktopRoutes())
	maps.Copy(all, a.clusterRoutes())
	maps.Copy(all, a.agentRoutes())
	maps.Copy(all, a.redirectRoutes())
	maps.Copy(all, a.limitsRoutes())
	maps.Copy(all, a.outageRoutes())
	maps.Copy(all, a.leasesRoutes())
	maps.Copy(all, a.operationRoutes())
	return all
}

// nodeStatus is what `GET status` answers.
type nodeStatus struct {
	Node       string   `json:"node"`
	Datacenter string   `json:"datacenter"`
	Version    string   `json:"version"`
	Roles      []string `json:"roles"`
	Config     string   `json:"config"`
	Loaded     string   `json:"loaded"`
	Serving    bool     `json:"serving"`
	// Conflicts are desktops that a broker of another cluster has too (TP3).
	Conflicts []string `json:"conflicts,omitempty"`
}

func (a *app) showStatus(context.Context, admin.Request) (any, error) {
	l := a.config.Load()
	return nodeStatus{
		Node: l.cfg.Node.Name, Datacenter: l.cfg.Node.Datacenter, Version: buildVersion(), Roles: a.roles(),
		Config: l.cfg.File, Loaded: l.at.UTC().Format("2006-01-02T15:04:05Z"), Serving: a.serving.Load(),
		Conflicts: conflictLines(a.rivals),
	}, nil
}

// explanation is a decision told in lines.
type explanation struct {
	Lines []string `json:"lines"`
}

func (a *app) explainDNS(_ context.Context, r admin.Request) (any, error) {
	if a.gtm == nil {
		return nil, notHere("gtm")
	}
	q, what, err := dnsQuestion(r.Query)
	if err != nil {
		return nil, badRequest(err)
	}
	answer, err := a.gtm.Explain(q, what)
	if err != nil {
		return nil, badRequest(err)
	}
	return explanation{explained(q, what, answer)}, nil
}

func (a *app) explainLB(_ context.Context, r admin.Request) (any, error) {
	if a.lb == nil {
		return nil, notHere("lb")
	}
	client, err := netip.ParseAddr(r.Query.Get("client"))
	if err != nil {
		return nil, badRequest(fmt.Errorf("client %q is no IP address", r.Query.Get("client")))
	}
	listener := r.Query.Get("listener")
	if listener == "" {
		listener = a.config.Load().cfg.LB.Listeners[0].Name
	}
	return explanation{a.lb.ExplainRequest(listener, client, r.Query.Get("host"), r.Query.Get("path")).Lines()}, nil
}

func (a *app) explainLogin(ctx context.Context, r admin.Request) (any, error) {
	e, err := a.broker.Explain(ctx, r.Query.Get("user"), r.Query.Get("directory"), r.Query.Get("client"))
	if err != nil {
		return nil, err
	}
	return explanation{e.Lines()}, nil
}

func (a *app) explainRef(ctx context.Context, r admin.Request) (any, error) {
	e, err := a.broker.ExplainRef(ctx, r.Query.Get("ref"))
	if err != nil {
		return nil, err
	}
	return explanation{e.Lines()}, nil
}

// storedSetup is what `GET setup` answers. It holds the password hashes of local users.
type storedSetup struct {
	Version int64        `json:"version"`
	Setup   broker.Setup `json:"setup"`
}

func (a *app) showSetup(ctx context.Context, _ admin.Request) (any, error) {
	setup, version, err := a.broker.Setup(ctx)
	return storedSetup{version, setup}, err
}

// applySetup brings the cluster's setup to what the body says; the answer is the difference.
func (a *app) applySetup(ctx context.Context, r admin.Request) (any, error) {
	var setup broker.Setup
	if err := json.Unmarshal(r.Body, &setup); err != nil {
		return nil, badRequest(fmt.Errorf("read the setup: %w", err))
	}
	return a.broker.Apply(ctx, setup, r.Query.Get("dry_run") != "", operator(r))
}

func (a *app) reloadNow(context.Context, admin.Request) (any, error) {
	if err := a.reload(); err != nil {
		return nil, &admin.Error{Status: http.StatusConflict, Text: "nothing was changed: " + err.Error()}
	}
	return explanation{[]string{"reloaded " + a.config.Load().cfg.File}}, nil
}

func notHere(role string) error {
	return &admin.Error{Status: http.StatusNotFound, Text: "this node has no " + role + " role; ask one that has"}
}

func badRequest(err error) error {
	return &admin.Error{Status: http.StatusBadRequest, Text: err.Error()}
}
