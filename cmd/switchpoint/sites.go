package main

import (
	"switchpoint/configs"
	adsites "switchpoint/directory/sites"
)

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
