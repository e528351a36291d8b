package main

import (
	"context"

	"switchpoint/configs"
	adsites "switchpoint/directory/sites"
	"switchpoint/gtm"
)

// newGTM binds the DNS server, gives it what it knows of places, and lets the other nodes call it.
func (a *app) newGTM(cfg *configs.Config, table *gtm.Table, abandon func(func(context.Context) error)) error {
	o := gtm.Options{
		Listen: cfg.GTM.Listen, Snapshot: a.health.engine.Snapshot, Subscribe: a.health.engine.Subscribe,
		Name: cfg.Node.Name, StateDir: cfg.Node.StateDir, Nodes: cfg.GTM.Nodes,
		Log: a.log.With("room", "gtm"), Metrics: a.registry,
	}
	if a.peer != nil {
		o.Call = a.peer.Call
	}
	var err error
	if a.gtm, err = gtm.New(o); err != nil {
		return err
	}
	abandon(a.gtm.Run)
	a.gtm.SetTable(table)
	if err := a.newSites(cfg); err != nil {
		return err
	}
	if a.peer != nil {
		for method, handle := range a.gtm.Handlers() {
			a.peer.Handle(method, handle)
		}
	}
	return nil
}

// newSites follows the sites and subnets that [gtm.sites] names, if it names any, and makes them
// part of where gtm's clients are.
func (a *app) newSites(cfg *configs.Config) error {
	s := cfg.GTM.Places().WithDefaults().Sites
	if len(s.URLs) == 0 && s.LDIF == "" {
		return nil
	}
	o := adsites.Options{
		LDIF: s.LDIF, Refresh: s.Refresh, ApproveAbove: s.ApproveAbove, StateDir: cfg.Node.StateDir,
		Owners: a.gtm.SiteOwners, Changed: a.gtm.SetSites, Log: a.log.With("room", "directory"), Metrics: a.registry,
	}
	if s.LDIF == "" {
		o.Config = &s.Config
	}
	var err error
	if a.adSites, err = adsites.New(o); err != nil {
		return err
	}
	a.gtm.SetSites(a.adSites.Current()) // the last good copy
	return nil
}
