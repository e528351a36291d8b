package main

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"switchpoint/configs"
	"switchpoint/gtm/place"
)

// reloadOn reloads whenever a signal comes.
func (a *app) reloadOn(ctx context.Context, hup <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
			if err := a.reload(); err != nil {
				a.log.Error("reload failed, nothing was changed", "error", err)
			}
		}
	}
}

// reload reads the file again: everything that can fail is done first, then the health table,
// gtm and lb are swapped. In that order: a new table's checks run before its first decision.
func (a *app) reload() error {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	old := a.config.Load()
	cfg, err := configs.Load(old.cfg.File)
	if err != nil {
		return fmt.Errorf("%s is not usable:\n%w", old.cfg.File, err)
	}
	if fixed := needRestart(old.cfg, cfg); len(fixed) > 0 {
		return fmt.Errorf("%s changed, which needs a restart of the process", strings.Join(fixed, ", "))
	}
	tables, err := a.compile(cfg)
	if err != nil {
		return err
	}
	if a.lb != nil {
		if err := a.lb.Check(tables.lb); err != nil {
			return err
		}
	}
	if err := a.health.configure(cfg.HealthConfig()); err != nil {
		return err
	}
	if a.peer != nil { // before gtm may call a node that is new in it
		a.peer.SetTable(tables.peer)
	}
	if a.gtm != nil {
		if err := a.gtm.SetNodes(cfg.GTM.Nodes); err != nil {
			return fmt.Errorf("change [gtm.nodes] after health and peers were swapped: %w", err)
		}
		a.gtm.SetTable(tables.gtm)
	}
	if a.lb != nil {
		if err := a.lb.SetTable(tables.lb); err != nil {
			return fmt.Errorf("swap [lb] after health and gtm were swapped: %w", err)
		}
	}
	a.config.Store(tables)
	a.log.Info("reloaded", "config", cfg.File)
	return nil
}

// needRestart lists what changed although it is bound to the life of the process.
func needRestart(old, now *configs.Config) []string {
	var out []string
	differ := func(name string, a, b any) {
		if !reflect.DeepEqual(a, b) {
			out = append(out, name)
		}
	}
	differ("[node]", old.Node, now.Node)
	differ("[log]", old.Log, now.Log)
	differ("[admin]", old.Admin, now.Admin)
	differ("[broker]", old.Broker, now.Broker)
	differ("[peer] listen", peerListen(old), peerListen(now))
	differ("[gtm] listen", gtmListen(old), gtmListen(now))
	differ("[gtm.sites]", gtmSites(old), gtmSites(now))
	differ("[[lb.listener]] addresses", lbListen(old), lbListen(now))
	return out
}

// The presence of a section counts as its addresses: nil is "no such role".

func peerListen(c *configs.Config) *string {
	if c.Peer == nil {
		return nil
	}
	return &c.Peer.Listen
}

func gtmListen(c *configs.Config) []string {
	if c.GTM == nil {
		return nil
	}
	return sorted(append([]string{}, c.GTM.Listen...))
}

// gtmSites leaves the map out, which is a part of the table.
func gtmSites(c *configs.Config) *place.Sites {
	if c.GTM == nil {
		return nil
	}
	s := c.GTM.Sites
	s.Map = nil
	return &s
}

func lbListen(c *configs.Config) []string {
	if c.LB == nil {
		return nil
	}
	out := []string{}
	for _, l := range c.LB.Listeners {
		out = append(out, l.Name+" "+l.Listen)
	}
	return sorted(out)
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}
