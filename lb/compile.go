package lb

import (
	"crypto/tls"
	"fmt"
	"time"

	"switchpoint/healthcheck"
	"switchpoint/internal/problem"
	"switchpoint/lb/choice"
	"switchpoint/lb/nodes"
)

// Table is a compiled Config: immutable, with all files loaded. Proxy.SetTable puts it to work.
type Table struct {
	listeners []listenerTable
	pools     []poolTable
	nodes     nodes.Config
	stopDelay time.Duration
}

type poolTable struct {
	name            string
	method          string
	persist         persistence
	responseTimeout time.Duration
	dial            dialSpec
	closeOnDown     bool // on_down = "close"
	slowStart       time.Duration
	panicPercent    int
	minActive       int
	maxWaiting      int // for a place
	queueTimeout    time.Duration
	backup          int // index in Table.pools, -1 for none
	members         []memberTable
	weights         []int
	keys            []uint64 // of the members, for the method "hash"
	classes         classTable
	priorities      []int // nil: all are equal
}

type memberTable struct {
	name    string
	address string
	// check has no refs where the pool has no monitor: the member then counts as up.
	check healthcheck.Member
	// most is how many requests it may have at once, 0 for any number.
	most int
}

// dialSpec is all that decides how connections to a pool's members are made. Two specs with the
// same fingerprint make equal connections, so a reload keeps the open ones.
type dialSpec struct {
	timeout     time.Duration
	tls         *tls.Config // nil: plain
	sendProxy   string      // version of the PROXY protocol that connections begin with
	fingerprint string
}

// Compile validates cfg, loads its certificates and CA files, and registers a ref for every
// member's check with ref. The error is a problem.List.
func Compile(cfg Config, ref func(healthcheck.Key) healthcheck.Ref) (*Table, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	var list problem.List
	t := &Table{nodes: cfg.Nodes, stopDelay: cfg.StopDelay}
	index := make(map[string]int)
	for i, p := range cfg.Pools {
		pt, err := p.compile(ref)
		list.Under(fmt.Sprintf("pool[%d]", i), err)
		index[p.Name] = i
		t.pools = append(t.pools, pt)
	}
	for i, p := range cfg.Pools {
		if p.BackupPool != "" {
			t.pools[i].backup = index[p.BackupPool]
		}
	}
	for i, l := range cfg.Listeners {
		lt, err := l.compile(index)
		list.Under(fmt.Sprintf("listener[%d]", i), err)
		t.listeners = append(t.listeners, lt)
	}
	if err := list.Err(); err != nil {
		return nil, err
	}
	return t, nil
}

func (p Pool) compile(ref func(healthcheck.Key) healthcheck.Ref) (poolTable, error) {
	pt := poolTable{
		name:            p.Name,
		method:          p.Method,
		classes:         p.classTable(),
		responseTimeout: p.ResponseTimeout,
		closeOnDown:     p.OnDown == onDownClose,
		slowStart:       p.SlowStart,
		panicPercent:    p.PanicThreshold,
		minActive:       p.MinActive,
		maxWaiting:      p.Queue,
		queueTimeout:    p.QueueTimeout,
		backup:          -1,
		priorities:      p.priorities(),
		dial:            dialSpec{timeout: p.ConnectTimeout, fingerprint: "plain", sendProxy: p.SendProxy},
	}
	var err error
	if pt.persist, err = p.compilePersistence(); err != nil {
		return pt, err
	}
	if p.TLS {
		if err := pt.dial.useTLS(p); err != nil {
			return pt, err
		}
	}
	for _, m := range p.Members {
		mt := memberTable{name: m.Name, address: m.Address, most: m.MaxInFlight}
		if p.Monitor != "" {
			r := ref(healthcheck.Key{Address: m.Address, Monitor: p.Monitor})
			mt.check = healthcheck.Member{Refs: []healthcheck.Ref{r}}
		}
		pt.members = append(pt.members, mt)
		pt.weights = append(pt.weights, m.Weight)
		pt.keys = append(pt.keys, choice.HashKey([]byte(m.Address)))
	}
	pt.dial.fingerprint += " " + p.SendProxy
	return pt, nil
}

func (d *dialSpec) useTLS(p Pool) error {
	d.tls = &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         p.ServerName, // empty: the dialer takes the member's host
		InsecureSkipVerify: p.NoVerify,   // #nosec G402 -- only where the operator wrote no_verify
		NextProtos:         []string{"http/1.1"},
		ClientSessionCache: tls.NewLRUClientSessionCache(64),
	}
	sum := "system"
	if p.CA != "" {
		roots, fp, err := loadRoots(p.CA)
		if err != nil {
			return err
		}
		d.tls.RootCAs, sum = roots, fp
	}
	d.fingerprint = fmt.Sprintf("tls %q %v %s", p.ServerName, p.NoVerify, sum)
	return nil
}
