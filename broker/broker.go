package broker

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"switchpoint/healthcheck"
	"switchpoint/redirect"
)

// Bounds of what the broker waits for.
const (
	loginTimeout = 30 * time.Second // one login, admission not counted
	storeTimeout = 3 * time.Second  // one call of the store
	recordAtOnce = 4                // refusals that stand in the way of logins at the store
	keyLife      = 24 * time.Hour   // how long an Idempotency-Key is remembered
)

// Options is what a broker consumes. Store and a valid Config are required.
type Options struct {
	Config     Config
	Name       string // of the node
	Datacenter string
	Version    string // of the program
	// UUID, IP, MAC and Fingerprint as in Node; Booted is the start of the process when zero, and
	// Fingerprint that of Config when empty.
	UUID, IP, MAC, Fingerprint string
	// Host as in Node; empty: that of this process.
	Host     string
	Booted   time.Time
	Store    Store
	Log      *slog.Logger
	Metrics  prometheus.Registerer
	Monitors []string // names of the process's [[monitor]] entries

	// SetChecks is told which checks destinations and directories need whenever that changes, and the
	// monitors of destinations that name none; Ref and Snapshot read their states. All three nil: every
	// destination counts as available.
	SetChecks func([]healthcheck.Monitor, []healthcheck.Key)
	Ref       func(healthcheck.Key) healthcheck.Ref
	Snapshot  func() *healthcheck.Snapshot
	// Report takes how each exchange with a directory server went, for directories with a monitor.
	Report func(healthcheck.Ref, healthcheck.Outcome)

	// Outage says in which mode the store serves, and why it serves nobody now, or ""; nil: from the
	// database, always.
	Outage func() (mode, refuses string)

	// AskAssigned asks the cluster of d over the peer channel; nil: nobody can be asked.
	AskAssigned func(ctx context.Context, d redirect.Destination, q AssignedQuestion) (bool, error)
	// AskSession asks the broker of this cluster with that name over the peer channel; nil: nobody
	// can be asked, and sessions of other brokers are read from the store.
	AskSession func(ctx context.Context, broker string, q SessionQuestion) (SessionAnswer, error)
	// Unmerged gives a session of this broker, and the acts that began and used it, when the database may
	// not have them yet: nil, nil when it has. Nil: it has them always.
	Unmerged func(ctx context.Context, tokenHash [32]byte) (*Session, []Act, error)
	// EndSession tells the broker of this cluster with that name, over the peer channel, that a session has
	// ended; nil: nobody can be told.
	EndSession func(ctx context.Context, broker string, e SessionEnd) error
	// AskWaiting asks the same for the outcome of a login; nil: nobody can be asked, and who waits at
	// another broker has to sign in again.
	AskWaiting func(ctx context.Context, broker string, q WaitingQuestion) (WaitingAnswer, error)
	// Trusts says whether a cluster has trusted peers of this process; AskTicketKey asks them for the key
	// of that cluster's tickets. Nil: no tickets are issued or taken.
	Trusts       func(cluster string) bool
	AskTicketKey func(ctx context.Context, cluster string) (TicketKey, error)
}

// Broker is one broker process of a cluster. Its methods are safe for concurrent use.
type Broker struct {
	o         Options
	cfg       Config
	log       *slog.Logger
	metrics   *metrics
	member    atomic.Pointer[Membership]
	loading   sync.Mutex // one load of the setup at a time
	table     atomic.Pointer[table]
	admit     *admission
	assigned  assignedCache
	sessions  sessionCache
	originals originals // who has signed in the sessions of other brokers
	issuers   issuers   // whose tickets have come here
	redirects redirectCounts
	gate      *gate // who has failed to sign in too often

	hashing   chan struct{} // bounds the memory that local sign-ins take at once
	recording chan struct{} // bounds the refusals that are being written: a flood of them must not starve logins
	readDown  atomic.Bool   // the newest background read of the store failed
	writeDown atomic.Bool   // the newest heartbeat could not be written
	fenced    atomic.Bool   // a later process took over the site id
	leaving   chan struct{} // closed by Detach: it serves no more
	detach    sync.Mutex    // one Detach at a time
	beating   sync.Mutex    // held by a beat, and while the store takes the broker out
	reload    chan struct{} // asks for a reload before the next poll
	beats     beats         // heartbeats of agents that wait for their batch
	host      *hostMeter    // how busy the host is
	goals     goalWatch     // how the cluster stands to its goals
	drain     draining      // whether an operator keeps logins away
	jobAdded  chan struct{} // tells the worker of this process of a job
}

// New joins the cluster and loads its setup. The store must answer; a directory that is down is
// no error. Run must be called, and ends the membership.
func New(ctx context.Context, o Options) (*Broker, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	if o.Store == nil {
		return nil, errors.New("broker: Options.Store is missing")
	}
	o.Host = cmp.Or(o.Host, hostID())
	if o.Booted.IsZero() {
		o.Booted = time.Now()
	}
	if o.Fingerprint == "" {
		o.Fingerprint = o.Config.Fingerprint(o.Version)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	b := &Broker{
		o: o, cfg: o.Config.WithDefaults(), log: o.Log, reload: make(chan struct{}, 1), jobAdded: make(chan struct{}, 1), leaving: make(chan struct{}),
		hashing: make(chan struct{}, runtime.GOMAXPROCS(0)), recording: make(chan struct{}, recordAtOnce),
	}
	b.table.Store(&table{}) // never nil, not even for a scrape during New
	b.admit = newAdmission(b.cfg.Capacity, b.cfg.LoginDeadline, b.cfg.sharedSources())
	b.admit.work, b.admit.lost = b.workLogin, b.loseLogin
	b.gate = newGate(b.cfg.SiteID, b.cfg.sharedSources())
	b.host = newHostMeter()
	var err error
	if b.metrics, err = newMetrics(b, o.Metrics); err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	if err := b.join(ctx); err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	if err := b.loadSetup(ctx); err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	return b, nil
}

// join presents this process to the cluster; the first one creates it.
func (b *Broker) join(ctx context.Context) error {
	proposal := Cluster{Name: b.cfg.Cluster}
	rand.Read(proposal.Secret[:]) // never fails (crypto/rand)
	rand.Read(proposal.TicketKey[:])
	m, err := b.o.Store.Join(ctx, b.Node(), proposal, Liveness)
	if err != nil {
		return err
	}
	b.member.Store(&m)
	return nil
}

// Node says who this broker is.
func (b *Broker) Node() Node {
	return Node{
		Name: b.o.Name, Datacenter: b.o.Datacenter, Version: b.o.Version, SiteID: b.cfg.SiteID, Booted: b.o.Booted,
		UUID: b.o.UUID, IP: b.o.IP, MAC: b.o.MAC, Host: b.o.Host, Fingerprint: b.o.Fingerprint,
	}
}

// Member is the broker's place in the cluster now; it changes when it was removed and has joined again.
func (b *Broker) Member() Membership { return *b.member.Load() }

// Cluster is the name of the broker's cluster.
func (b *Broker) Cluster() string { return b.cfg.Cluster }

// Brokers lists the members of the cluster.
func (b *Broker) Brokers(ctx context.Context) ([]NodeStatus, error) { return b.o.Store.Brokers(ctx) }

// newRow starts the log row of one request.
func (b *Broker) newRow(kind, clientAddr, clientName string) LogRow {
	return LogRow{ID: newID(), Ref: newRef(b.cfg.SiteID), Kind: kind, ClientAddr: clientAddr, ClientName: clip(clientName), SiteID: b.cfg.SiteID}
}

// record writes a log row that no transaction carries. The answer does not wait on its success:
// a refusal stays a refusal when it cannot be written down, but the operator hears of it.
func (b *Broker) record(ctx context.Context, row LogRow, arrived time.Time) {
	if row.Code == CodeStoreUnavailable { // waiting for the same store again would only double the user's wait
		b.log.Error("refusal not written: the database does not answer", "ref", row.Ref, "reason", row.Reason)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	if err := b.appendLog(ctx, row, arrived); err != nil {
		b.log.Error("log row lost", "kind", row.Kind, "code", row.Code, "ref", row.Ref, "error", err)
	}
}

func (b *Broker) appendLog(ctx context.Context, row LogRow, arrived time.Time) error {
	select {
	case b.recording <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-b.recording }()
	row.Duration = time.Since(arrived)
	return b.o.Store.AppendLog(ctx, row)
}
