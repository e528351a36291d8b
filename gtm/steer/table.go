package steer

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"switchpoint/healthcheck"
)

// Table is the steered names, compiled. It is immutable.
type Table struct {
	names       []*name
	datacenters []string // in the order of the configuration
}

// name is a compiled Name.
type name struct {
	Name          // with defaults
	id     string // in lower case without the final dot, as patterns of operators name it
	pools  []pool // at most one per datacenter
	at     []int  // the pool in each of Table.datacenters, -1: none
	backup []netip.Addr
}

// pool is a compiled Pool.
type pool struct {
	Pool
	id         string // "name/datacenter", as patterns of operators name it
	datacenter int    // index into Table.datacenters
	members    []member
	keys       []uint64 // of the units that the members make, see newUnits
}

// member is a compiled Member.
type member struct {
	id        string // "name/datacenter/address:port"
	at        string // "address:port"
	host      string // SRV target with the final dot, or empty
	addr      netip.Addr
	port      uint16
	weight    int
	unit      int // index into pool.keys
	monitored bool
	ref       healthcheck.Ref
}

// Key is the member's target under a monitor.
func (m Member) Key(monitor string) healthcheck.Key {
	return healthcheck.Key{Address: net.JoinHostPort(m.Address, strconv.Itoa(int(m.Port))), Monitor: monitor}
}

// Compile makes the table of names that have passed Validate. Datacenters are all there are, in
// order; ref gives the index of a check in the snapshots.
func Compile(names []Name, datacenters []string, ref func(healthcheck.Key) healthcheck.Ref) (*Table, error) {
	t := &Table{datacenters: datacenters}
	for _, cfg := range names {
		n := &name{Name: cfg.WithDefaults(), at: slices.Repeat([]int{-1}, len(datacenters))}
		n.id = strings.ToLower(strings.TrimSuffix(cfg.Name, "."))
		for _, p := range n.Pools {
			c, err := t.pool(n, p, ref)
			if err != nil {
				return nil, fmt.Errorf("name %s: %w", cfg.Name, err)
			}
			n.at[c.datacenter] = len(n.pools)
			n.pools = append(n.pools, c)
		}
		for _, f := range n.Fallback {
			a, err := netip.ParseAddr(f)
			if err != nil {
				return nil, fmt.Errorf("name %s: fallback %q is no address", cfg.Name, f)
			}
			n.backup = append(n.backup, a)
		}
		t.names = append(t.names, n)
	}
	return t, nil
}

func (t *Table) pool(n *name, cfg Pool, ref func(healthcheck.Key) healthcheck.Ref) (pool, error) {
	p := pool{Pool: cfg, id: poolID(n, cfg.Datacenter), datacenter: slices.Index(t.datacenters, cfg.Datacenter)}
	if p.datacenter < 0 {
		return p, fmt.Errorf("there is no datacenter %q", cfg.Datacenter)
	}
	for _, m := range cfg.Members {
		addr, err := netip.ParseAddr(m.Address)
		if err != nil {
			return p, fmt.Errorf("member %q is no address", m.Address)
		}
		c := member{addr: addr, port: m.Port, weight: m.Weight, ref: healthcheck.NoRef}
		c.at = netip.AddrPortFrom(addr, m.Port).String()
		c.id = p.id + "/" + c.at
		if m.Host != "" {
			c.host = strings.TrimSuffix(m.Host, ".") + "."
		}
		if n.Monitor != "" {
			c.monitored, c.ref = true, ref(m.Key(n.Monitor))
		}
		p.members = append(p.members, c)
	}
	p.keys = newUnits(p.members)
	return p, nil
}

func poolID(n *name, datacenter string) string { return n.id + "/" + strings.ToLower(datacenter) }

// Len is how many names there are; they are told apart by their index in the configuration.
func (t *Table) Len() int { return len(t.names) }

// Datacenters are the names of all datacenters; places and decisions use their indices.
func (t *Table) Datacenters() []string { return t.datacenters }

// Defaults.
const (
	DefaultTTL    = 30 * time.Second
	DefaultMinTTL = 5 * time.Second
)

// WithDefaults returns the name with every unset value filled in; n is not changed.
func (n Name) WithDefaults() Name {
	n.Method = cmp.Or(n.Method, MethodRoundRobin)
	n.Between = cmp.Or(n.Between, BetweenTopology)
	n.AllDown = cmp.Or(n.AllDown, AllDownLastGood)
	n.TTL = cmp.Or(n.TTL, DefaultTTL)
	n.TTLMin = cmp.Or(n.TTLMin, min(DefaultMinTTL, n.TTL))
	n.MaxDemotions = cmp.Or(n.MaxDemotions, 1)
	n.MinDatacenters = cmp.Or(n.MinDatacenters, 1)
	n.Pools = slices.Clone(n.Pools)
	for i := range n.Pools {
		p := &n.Pools[i]
		p.Weight = cmp.Or(p.Weight, 1)
		if n.Between == BetweenMode {
			p.Mode = cmp.Or(p.Mode, ModePrimary)
		}
		p.Members = slices.Clone(p.Members)
		for j := range p.Members {
			p.Members[j].Weight = cmp.Or(p.Members[j].Weight, 1)
		}
	}
	n.SRV = slices.Clone(n.SRV)
	for i := range n.SRV {
		s := &n.SRV[i]
		s.Target = cmp.Or(s.Target, TargetMembers)
		if s.Target == TargetName && s.Port == 0 {
			s.Port = firstPort(n.Pools)
		}
	}
	return n
}

func firstPort(pools []Pool) uint16 {
	for _, p := range pools {
		if len(p.Members) > 0 {
			return p.Members[0].Port
		}
	}
	return 0
}
