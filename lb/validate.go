package lb

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"switchpoint/healthcheck"
	"switchpoint/internal/problem"
	"switchpoint/lb/choice"
)

const maxWeight = 1000

// WithDefaults returns c with every default filled in; c itself is not changed.
func (c Config) WithDefaults() Config {
	c.Listeners = slices.Clone(c.Listeners)
	for i := range c.Listeners {
		c.Listeners[i] = c.Listeners[i].withDefaults()
	}
	c.Pools = slices.Clone(c.Pools)
	for i := range c.Pools {
		c.Pools[i] = c.Pools[i].withDefaults()
	}
	return c
}

func (p Pool) withDefaults() Pool {
	orString(&p.Method, DefaultMethod)
	if p.Classes == nil {
		p.Classes = defaultClasses()
	}
	p.persistenceDefaults()
	orString(&p.OnDown, onDownKeep)
	orDuration(&p.ConnectTimeout, DefaultConnectTimeout)
	orDuration(&p.ResponseTimeout, DefaultResponseTimeout)
	p.upstreamDefaults()
	p.Members = slices.Clone(p.Members)
	for i := range p.Members {
		m := &p.Members[i]
		orString(&m.Name, m.Address)
		if m.Weight == 0 {
			m.Weight = 1
		}
	}
	return p
}

func orString(v *string, def string) {
	if *v == "" {
		*v = def
	}
}

func orDuration(v *time.Duration, def time.Duration) {
	if *v == 0 {
		*v = def
	}
}

// Checks lists what the pools want to know the health of. Members of a pool without a monitor
// are in no check.
func (c Config) Checks() []healthcheck.Key {
	var keys []healthcheck.Key
	seen := make(map[healthcheck.Key]bool)
	for _, p := range c.Pools {
		for _, m := range p.Members {
			k := healthcheck.Key{Address: m.Address, Monitor: p.Monitor}
			if p.Monitor != "" && !seen[k] {
				seen[k] = true
				keys = append(keys, k)
			}
		}
	}
	return keys
}

// maxStopDelay is what a supervisor still waits for: systemd kills after 90 s.
const maxStopDelay = time.Minute

// Validate reports every fault of c as a problem.List, certificates and CA files included: they
// are read. Whether a pool's monitor exists is for the reader of the whole file to say.
func (c Config) Validate() error {
	c = c.WithDefaults()
	var list problem.List
	pools := make(map[string]bool)
	for _, p := range c.Pools {
		pools[p.Name] = true
	}
	names, addrs := make(map[string]int), make(map[string]int)
	for i, l := range c.Listeners {
		path := fmt.Sprintf("listener[%d]", i)
		unique(&list, names, i, path+".name", "listener", l.Name)
		if !strings.HasSuffix(l.Listen, ":0") {
			unique(&list, addrs, i, path+".listen", "listen address", l.Listen)
		}
		list.Under(path, l.validate(pools))
	}
	if len(c.Pools) > 0 && len(c.Listeners) == 0 {
		list.Addf("pool", "add an [[lb.listener]] that names it", "there are pools but no listener")
	}
	if c.StopDelay < 0 || c.StopDelay > maxStopDelay {
		list.Addf("stop_delay", fmt.Sprintf("write a duration from 0s to %v", maxStopDelay), "%v is out of range", c.StopDelay)
	}
	list.Under("nodes", c.Nodes.Validate())
	names = make(map[string]int)
	for i, p := range c.Pools {
		path := fmt.Sprintf("pool[%d]", i)
		unique(&list, names, i, path+".name", "pool", p.Name)
		list.Under(path, p.validate())
		list.Under(path, p.validateOnDown(c))
		list.Under(path, p.validateCookies(c))
		list.Under(path, p.validateBackup(c.Pools))
	}
	return list.Err()
}

// unique reports an empty value or one that an earlier entry has.
func unique(list *problem.List, seen map[string]int, i int, path, thing, value string) {
	if value == "" {
		list.Addf(path, "give it one", "this %s is empty", thing)
		return
	}
	if first, ok := seen[value]; ok {
		list.Addf(path, "use another one or remove one of the two", "%s %q is already that of entry %d", thing, value, first)
		return
	}
	seen[value] = i
}

func (p Pool) validate() error {
	var list problem.List
	if !slices.Contains(choice.Methods(), p.Method) {
		list.Addf("lb_method", "write one of "+quoted(choice.Methods()), "%q is not a method", p.Method)
	}
	p.validatePersistence(&list)
	if p.SendProxy != "" && p.SendProxy != proxyV1 && p.SendProxy != proxyV2 {
		list.Addf("send_proxy", `write "v1" or "v2", or remove it`, "%q is no version of the PROXY protocol", p.SendProxy)
	}
	for _, d := range []struct {
		name     string
		value    time.Duration
		min, max time.Duration
	}{
		{"persistence_timeout", p.PersistenceTimeout, time.Second, 30 * 24 * time.Hour},
		{"connect_timeout", p.ConnectTimeout, time.Millisecond, time.Minute},
		{"response_timeout", p.ResponseTimeout, time.Millisecond, time.Hour},
	} {
		if d.value < d.min || d.value > d.max {
			list.Addf(d.name, fmt.Sprintf("write a duration from %v to %v", d.min, d.max), "%v is out of range", d.value)
		}
	}
	if !p.TLS && (p.CA != "" || p.ServerName != "" || p.NoVerify) {
		list.Addf("tls", "set tls = true, or remove ca, server_name and no_verify", "TLS settings are given but tls is off")
	}
	if p.CA != "" {
		if _, _, err := loadRoots(p.CA); err != nil {
			list.Under("", err)
		}
	}
	list.Under("", p.validateClasses())
	p.validateMembers(&list)
	p.validateUpstream(&list)
	return list.Err()
}

func (p Pool) validateMembers(list *problem.List) {
	if len(p.Members) == 0 {
		list.Addf("members", `add one, for example {address = "10.0.0.11:8080"}`, "the pool has no members")
	}
	names, addrs := make(map[string]int), make(map[string]int)
	for i, m := range p.Members {
		path := fmt.Sprintf("members[%d]", i)
		unique(list, addrs, i, path+".address", "member address", m.Address)
		if m.Name != m.Address {
			unique(list, names, i, path+".name", "member name", m.Name)
		}
		if m.Address != "" {
			if what := badHostPort(m.Address); what != "" {
				list.Addf(path+".address", `write ip:port, for example "10.0.0.11:8080"`, "%q %s", m.Address, what)
			}
		}
		if m.Weight < 0 || m.Weight > maxWeight {
			list.Addf(path+".weight", fmt.Sprintf("write 1 to %d", maxWeight), "%d is no weight", m.Weight)
		}
	}
}

func badHostPort(s string) string {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "is not an address with a port"
	}
	if host == "" || strings.ContainsAny(host, " /@,") {
		return "has no usable host"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "has no port from 1 to 65535"
	}
	return ""
}

// parsePrefix accepts a prefix or one address.
func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, err
	}
	return p.Masked(), nil
}

func quoted(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = strconv.Quote(n)
	}
	return strings.Join(out, ", ")
}
