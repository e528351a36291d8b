package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"switchpoint/admin"
	"switchpoint/broker"
	"switchpoint/broker/api"
	"switchpoint/broker/jobs"
	"switchpoint/broker/outage"
	"switchpoint/configs"
	adsites "switchpoint/directory/sites"
	"switchpoint/gtm"
	"switchpoint/lb"
	"switchpoint/peer"
)

// app is one process: the roles that its configuration names, over one health engine. Fields of
// roles that the process does not have are nil.
type app struct {
	log      *slog.Logger
	registry *prometheus.Registry
	health   *health
	gtm      *gtm.Server
	lb       *lb.Proxy
	identity peer.Identity
	peer     *peer.Node
	store    store
	outage   *outage.Store // the same, where the broker can do without its database
	broker   *broker.Broker
	rivals   *broker.Rivals // watches for desktops that another cluster has too
	worker   *jobs.Worker
	// workEnded is closed when the worker has stopped, with the process or with leaving the cluster.
	workEnded chan struct{}
	api       *api.Server
	admin     *admin.Server
	adSites   *adsites.Watcher // follows the sites and subnets of Active Directory
	config    atomic.Pointer[loaded]
	serving   atomic.Bool

	reloading sync.Mutex // held by a reload, so that two never mix their tables
}

// loaded is a configuration with what was compiled from it, swapped as one.
type loaded struct {
	cfg  *configs.Config
	gtm  *gtm.Table
	lb   *lb.Table
	peer *peer.Table
	at   time.Time
}

// newApp binds every socket and compiles every table. It is one straight line because each step
// needs what the earlier ones made. What was bound is released again when a later step fails.
func newApp(ctx context.Context, cfg *configs.Config, log *slog.Logger) (_ *app, err error) {
	a := &app{log: log, registry: prometheus.NewRegistry()}
	var release []func()
	defer func() {
		if err != nil {
			for i := len(release) - 1; i >= 0; i-- {
				release[i]()
			}
		}
	}()
	// Running a room under an ended context is how it gives its sockets back.
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	abandon := func(run func(context.Context) error) {
		release = append(release, func() { _ = run(ended) })
	}

	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if err := os.MkdirAll(cfg.Node.StateDir, 0o700); err != nil {
		return nil, fmt.Errorf("make state directory: %w; choose another [node] state_dir or create it for this user", err)
	}
	a.health = newHealth(cfg.Node.StateDir, log, a.registry)
	if cfg.Peer != nil {
		if a.identity, err = peer.LoadIdentity(cfg.Node.StateDir); err != nil {
			return nil, err
		}
	}
	tables, err := a.compile(cfg)
	if err != nil {
		return nil, err
	}
	a.config.Store(tables)
	if err := a.health.configure(cfg.HealthConfig()); err != nil {
		return nil, err
	}

	if cfg.Peer != nil {
		if a.peer, err = peer.New(peer.Options{
			Config: *cfg.Peer, Identity: a.identity, Name: cfg.Node.Name,
			Log: log.With("room", "peer"), Metrics: a.registry,
		}); err != nil {
			return nil, err
		}
		abandon(a.peer.Run)
	}
	if cfg.GTM != nil {
		if err := a.newGTM(cfg, tables.gtm, abandon); err != nil {
			return nil, err
		}
	}
	if cfg.Broker != nil {
		if err := a.newBroker(ctx, cfg, abandon); err != nil {
			return nil, err
		}
	}
	if cfg.LB != nil {
		if err := a.newLB(cfg, tables.lb, abandon); err != nil {
			return nil, err
		}
	}
	if a.admin, err = admin.New(admin.Options{
		Socket: filepath.Join(cfg.Node.StateDir, admin.SocketName),
		Config: admin.Config{
			Listen: cfg.Admin.Listen, Cert: cfg.Admin.Cert, Key: cfg.Admin.Key, TokenFile: cfg.Admin.TokenFile,
		},
		Log: log.With("room", "admin"), Metrics: a.registry, Ready: a.ready, Routes: a.routes(),
		Name: cfg.Node.Name, Pages: a.consolePages(), Notice: a.servedFrom,
	}); err != nil {
		return nil, err
	}
	return a, nil
}

func monitorNames(cfg *configs.Config) []string {
	names := make([]string, len(cfg.Monitors))
	for i, m := range cfg.Monitors {
		names[i] = m.Name
	}
	return names
}

// ready is what /readyz asks.
func (a *app) ready() error {
	if !a.serving.Load() {
		return errors.New("waiting for the first health round, or stopping")
	}
	return nil
}

func (a *app) roles() []string {
	cfg := a.config.Load().cfg
	var roles []string
	for name, has := range map[string]bool{"gtm": cfg.GTM != nil, "lb": cfg.LB != nil, "broker": cfg.Broker != nil} {
		if has {
			roles = append(roles, name)
		}
	}
	return sorted(roles)
}

func (a *app) addresses() []any {
	var out []any
	if a.gtm != nil {
		out = append(out, "gtm", a.gtm.Addr())
	}
	if a.lb != nil {
		out = append(out, "lb", a.lb.Addr())
	}
	if a.api != nil {
		out = append(out, "broker", a.api.Addr())
	}
	if a.peer != nil {
		out = append(out, "peer", a.peer.Addr())
	}
	return out
}

// compile makes the tables of a configuration without touching what runs.
func (a *app) compile(cfg *configs.Config) (*loaded, error) {
	l := &loaded{cfg: cfg, at: time.Now()}
	var err error
	if cfg.GTM != nil {
		if l.gtm, err = gtm.Compile(*cfg.GTM, a.health.engine.Ref); err != nil {
			return nil, fmt.Errorf("compile [gtm]: %w", err)
		}
	}
	if cfg.LB != nil {
		if l.lb, err = lb.Compile(*cfg.LB, a.health.engine.Ref); err != nil {
			return nil, fmt.Errorf("compile [lb]: %w", err)
		}
	}
	if cfg.Peer != nil {
		if l.peer, err = peer.Compile(*cfg.Peer, a.identity.PublicKey()); err != nil {
			return nil, fmt.Errorf("compile [peer]: %w", err)
		}
	}
	return l, nil
}
