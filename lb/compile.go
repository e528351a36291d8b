package lb

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"time"

	"switchpoint/healthcheck"
	"switchpoint/internal/problem"
)

const (
	persistSource = "source-address"
	persistNone   = "none"
)

// Table is a compiled Config: immutable, with all files loaded. Proxy.SetTable puts it to work.
type Table struct {
	listeners []listenerTable
	pools     []poolTable
}

type listenerTable struct {
	name        string
	listen      string
	pool        int // index in Table.pools
	cert        *tls.Certificate
	legacyProbe bool
	trusted     []netip.Prefix
}

type poolTable struct {
	name            string
	method          string
	persist         bool
	persistFor      time.Duration
	responseTimeout time.Duration
	dial            dialSpec
	members         []memberTable
	weights         []int
}

type memberTable struct {
	name    string
	address string
	// check has no refs where the pool has no monitor: the member then counts as up.
	check healthcheck.Member
}

// dialSpec is all that decides how connections to a pool's members are made. Two specs with the
// same fingerprint make equal connections, so a reload keeps the open ones.
type dialSpec struct {
	timeout     time.Duration
	tls         *tls.Config // nil: plain
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
	t := &Table{}
	index := make(map[string]int)
	for i, p := range cfg.Pools {
		pt, err := p.compile(ref)
		list.Under(fmt.Sprintf("pool[%d]", i), err)
		index[p.Name] = i
		t.pools = append(t.pools, pt)
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

func (l Listener) compile(pools map[string]int) (listenerTable, error) {
	lt := listenerTable{name: l.Name, listen: l.Listen, pool: pools[l.Pool], legacyProbe: *l.LegacyProbe}
	if l.Cert != "" {
		cert, err := loadCertificate(l.Cert, l.Key)
		if err != nil {
			return lt, err
		}
		lt.cert = cert
	}
	for i, s := range l.TrustedProxies {
		prefix, err := parsePrefix(s)
		if err != nil {
			return lt, problem.Problem{Path: fmt.Sprintf("trusted_proxies[%d]", i), What: err.Error()}
		}
		lt.trusted = append(lt.trusted, prefix)
	}
	return lt, nil
}

func (p Pool) compile(ref func(healthcheck.Key) healthcheck.Ref) (poolTable, error) {
	pt := poolTable{
		name:            p.Name,
		method:          p.Method,
		persist:         p.Persistence == persistSource,
		persistFor:      p.PersistenceTimeout,
		responseTimeout: p.ResponseTimeout,
		dial:            dialSpec{timeout: p.ConnectTimeout, fingerprint: "plain"},
	}
	if p.TLS {
		if err := pt.dial.useTLS(p); err != nil {
			return pt, err
		}
	}
	for _, m := range p.Members {
		mt := memberTable{name: m.Name, address: m.Address}
		if p.Monitor != "" {
			r := ref(healthcheck.Key{Address: m.Address, Monitor: p.Monitor})
			mt.check = healthcheck.Member{Refs: []healthcheck.Ref{r}}
		}
		pt.members = append(pt.members, mt)
		pt.weights = append(pt.weights, m.Weight)
	}
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
