package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/google/uuid"

	"switchpoint/admin"
	"switchpoint/broker"
	"switchpoint/broker/api"
	"switchpoint/broker/jobs"
	"switchpoint/broker/postgres"
	"switchpoint/broker/sqlite"
	"switchpoint/configs"
	"switchpoint/internal/keptfile"
	"switchpoint/internal/secret"
)

// store is the cluster's shared memory as this process holds it.
type store interface {
	broker.Store
	io.Closer
}

// newBroker opens the store, joins the cluster and binds the API.
func (a *app) newBroker(ctx context.Context, cfg *configs.Config, abandon func(func(context.Context) error)) error {
	c := cfg.Broker.WithDefaults()
	log := a.log.With("room", "broker")
	var err error
	if a.store, err = a.openStore(ctx, c, cfg); err != nil {
		return fmt.Errorf("open the broker's database: %w", err)
	}
	abandon(func(context.Context) error { return a.store.Close() })
	id, err := brokerUUID(cfg.Node.StateDir)
	if err != nil {
		return err
	}
	ip, mac := ownInterface(c.Listen)
	a.broker, err = broker.New(ctx, broker.Options{
		Config: c, Name: cfg.Node.Name, Datacenter: cfg.Node.Datacenter, Version: buildVersion(),
		UUID: id, IP: ip, MAC: mac,
		Store: a.store, Log: log, Metrics: a.registry,
		Monitors:  monitorNames(cfg),
		SetChecks: a.health.setBrokerChecks, Ref: a.health.engine.Ref, Snapshot: a.health.engine.Snapshot,
		Report: a.health.engine.Report, AskAssigned: a.askAssigned, AskSession: a.askSession, AskWaiting: a.askWaiting, Outage: a.outageMode,
		Unmerged: a.unmergedSession, EndSession: a.endSession,
		Trusts: a.trustsCluster, AskTicketKey: a.askTicketKey,
	})
	if err != nil {
		return fmt.Errorf("start the broker: %w", err)
	}
	abandon(a.broker.Run)
	if err := a.seed(ctx, cfg, c); err != nil {
		return err
	}
	if err := a.newWorker(c); err != nil {
		return err
	}
	if a.peer != nil {
		a.peer.Handle(assignedMethod, a.answerAssigned)
		a.peer.Handle(sessionMethod, a.answerSession)
		a.peer.Handle(waitingMethod, a.answerWaiting)
		a.peer.Handle(outageMethod, a.answerOutage)
		a.peer.Handle(handActsMethod, a.answerHandActs)
		a.peer.Handle(endSessionMethod, a.answerEndSession)
		a.peer.Handle(outageForceMethod, a.answerOutageForce)
		a.peer.Handle(operateMethod, a.answerOperation)
		a.peer.Handle(ticketKeyMethod, a.answerTicketKey)
		if a.rivals, err = a.newRivals(0); err != nil {
			return err
		}
	}
	token := ""
	if cfg.Admin.TokenFile != "" {
		if token, err = admin.ReadToken(cfg.Admin.TokenFile); err != nil {
			return fmt.Errorf("[admin] token_file: %w", err)
		}
	}
	a.api, err = api.New(api.Options{
		Broker: a.broker, Listen: c.Listen, Cert: c.Cert, Key: c.Key,
		TrustedProxies: c.TrustedProxies, AdminToken: token, Log: log, Metrics: a.registry,
	})
	if err != nil {
		return err
	}
	abandon(a.api.Run)
	return nil
}

// openStore opens the database that [broker.database] names, behind the files that it is done without
// for a time.
func (a *app) openStore(ctx context.Context, c broker.Config, cfg *configs.Config) (store, error) {
	d, log := c.Database, a.log.With("room", "broker")
	if d.Kind == broker.KindSQLite {
		path := d.Path
		if path == "" {
			path = filepath.Join(cfg.Node.StateDir, "broker.db")
		}
		return sqlite.Open(ctx, path, sqlite.Options{Log: log})
	}
	o := postgres.Options{Log: log, URL: databaseURL(d), MaxConns: d.Connections, Later: c.Outage.Mode != broker.OutageOff}
	if d.Password != "" {
		var err error
		if o.Password, err = secret.Read(d.Password); err != nil {
			return nil, err
		}
	}
	primary, err := postgres.Open(ctx, o)
	if err != nil || c.Outage.Mode == broker.OutageOff {
		return primary, err
	}
	if a.outage, err = a.newOutage(ctx, c, cfg, primary); err != nil {
		return nil, errors.Join(err, primary.Close())
	}
	return a.outage, nil
}

// databaseURL writes the servers as the store takes them. The folder of a Unix socket can only
// stand in a parameter, so all of them do.
func databaseURL(d broker.Database) string {
	var hosts, ports []string
	for _, h := range d.Hosts {
		host, port, err := net.SplitHostPort(h)
		if err != nil { // a folder
			host, port = h, "5432"
		}
		hosts, ports = append(hosts, host), append(ports, port)
	}
	q := url.Values{"host": {strings.Join(hosts, ",")}, "port": {strings.Join(ports, ",")}, "sslmode": {"verify-full"}}
	if d.TLS == broker.DatabaseTLSOff {
		q.Set("sslmode", "disable")
	}
	if d.CA != "" {
		q.Set("sslrootcert", d.CA)
	}
	u := url.URL{Scheme: "postgres", User: url.User(d.User), Path: "/" + d.Name, RawQuery: q.Encode()}
	return u.String()
}

// newWorker makes the process work off the cluster's job queue.
func (a *app) newWorker(c broker.Config) (err error) {
	a.workEnded = make(chan struct{})
	a.worker, err = jobs.New(jobs.Options{
		Store: a.store, Member: a.broker.Member, Added: a.broker.JobAdded(), Logins: a.broker.LoginShare, Check: a.broker.CheckSelf,
		LogRetention: c.LogRetention, Log: a.log.With("room", "jobs"), Metrics: a.registry,
	})
	if err != nil {
		return err
	}
	for kind, handle := range a.broker.JobHandlers() {
		a.worker.Handle(kind, handle)
	}
	return nil
}

const uuidFile = "broker-uuid"

// brokerUUID tells this broker from all others, of whatever name (PG2). It is made once.
func brokerUUID(stateDir string) (string, error) {
	var id string
	err := keptfile.Read(stateDir, uuidFile, 64, func(b []byte) error {
		parsed, err := uuid.ParseBytes(b)
		id = parsed.String()
		return err
	})
	if err != nil && !errors.Is(err, keptfile.ErrSetAside) {
		return "", fmt.Errorf("read the UUID of the broker: %w", err)
	}
	if err == nil && id != "" {
		return id, nil
	}
	id = uuid.NewString()
	if err := keptfile.Write(stateDir, uuidFile, []byte(id)); err != nil {
		return "", fmt.Errorf("keep the UUID of the broker: %w", err)
	}
	return id, nil
}

// ownInterface gives the address under which others reach the broker, and the hardware address of
// its interface: that of the first listener that names one, else of the first interface with an
// address that is no loopback. Both are for people to read, so what cannot be found stays empty.
func ownInterface(listen []string) (ip, mac string) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return "", ""
	}
	var wanted netip.Addr
	for _, l := range listen {
		if a, err := netip.ParseAddrPort(l); err == nil && !a.Addr().IsUnspecified() {
			wanted = a.Addr().Unmap()
			break
		}
	}
	for _, i := range interfaces {
		addresses, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addresses {
			p, err := netip.ParsePrefix(a.String())
			if err != nil {
				continue
			}
			own := p.Addr().Unmap()
			if own == wanted || !wanted.IsValid() && !own.IsLoopback() && !own.IsLinkLocalUnicast() {
				return own.String(), i.HardwareAddr.String()
			}
		}
	}
	if wanted.IsValid() { // an address of the loopback network, or one that floats
		return wanted.String(), ""
	}
	return "", ""
}
