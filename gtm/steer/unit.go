package steer

import (
	"net/netip"
	"strconv"
	"strings"

	"switchpoint/healthcheck"
)

// A unit is what a method chooses: the members that lead to one machine. The n-th IPv4 and the
// n-th IPv6 address of a host are one unit, whatever their ports, so that A and AAAA of a host
// go together; a member without a host is one by itself.
type unit struct {
	id     int     // in the pool
	has    [2]bool // an IPv4, an IPv6 address that serves
	weight int
	score  float64 // of method "hash"
}

// answers says whether the unit is in the answer to A or to AAAA, when so many of each family
// are still wanted, and takes it off them.
func (u *unit) answers(left *[2]int) bool {
	is := false
	for f, has := range u.has {
		if has && left[f] > 0 {
			left[f]--
			is = true
		}
	}
	return is
}

// family is 0 for IPv4 and 1 for IPv6.
func family(a netip.Addr) int {
	if a.Is6() {
		return 1
	}
	return 0
}

// newUnits gives each member its unit and returns the keys of the units: what "hash" knows them
// by. A key depends only on the unit, so that a change of the list moves only its own clients.
func newUnits(members []member) []uint64 {
	type machine struct {
		host string
		nth  int // of the host's addresses of the family
	}
	var keys []uint64
	ids := map[machine]int{}
	nth := map[string]int{}    // addresses so far, by host and family
	placed := map[string]int{} // units, by host and address
	for i := range members {
		m := &members[i]
		host := strings.ToLower(m.host)
		if host == "" {
			host = m.addr.String()
		}
		at := host + " " + m.addr.String()
		id, known := placed[at]
		if !known {
			family := host + " " + strconv.FormatBool(m.addr.Is6())
			of := machine{host, nth[family]}
			nth[family]++
			if id, known = ids[of]; !known {
				id = len(keys)
				ids[of] = id
				keys = append(keys, hashText(of.host+" "+strconv.Itoa(of.nth)))
			}
			placed[at] = id
		}
		m.unit = id
	}
	return keys
}

// hashText is FNV-1a.
func hashText(s string) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 0x100000001b3
	}
	return h
}

// units appends the units that serve to dst, in the order in which their first members serve.
// Of several members of one unit the largest weight counts: they are one machine.
func (g group) units(dst []unit, by yardstick) []unit {
	var few [32]int
	at := few[:]
	if n := len(g.pool.keys); n > len(few) {
		at = make([]int, n) // 1 + index in dst
	}
	for _, m := range g.serving {
		mem := &g.pool.members[m]
		if at[mem.unit] == 0 {
			dst = append(dst, unit{id: mem.unit})
			at[mem.unit] = len(dst)
		}
		u := &dst[at[mem.unit]-1]
		u.weight = max(u.weight, g.weight(m, by))
		u.has[family(mem.addr)] = true
	}
	return dst
}

// yardstick is what the members of a pool are weighed by.
type yardstick bool

const (
	byConfig yardstick = false // the configured weights
	bySpare  yardstick = true  // the capacity that they have left
)

// yardstick says what the weights of the members that serve are:
//
//	method      members that serve                              weight
//	hash        any                                             configured: a client's member must
//	                                                            not depend on the load
//	weighted    not all overloaded                              configured
//	others      one does not say what it has left, or all       configured: the two have no
//	            have nothing left                               common unit
//	            all say what they have left, one has some       the capacity left
func (g group) yardstick(method string) yardstick {
	if method == MethodHash || method == MethodWeighted && !g.overloaded() {
		return byConfig
	}
	some := false
	for _, m := range g.serving {
		st := &g.status[m]
		left := st.Load.Spare()
		if left < 0 || st.State != healthcheck.Up && st.State != healthcheck.Overloaded {
			return byConfig
		}
		some = some || left > 0
	}
	return yardstick(some)
}

// overloaded says whether only overloaded members serve.
func (g group) overloaded() bool {
	for _, m := range g.serving {
		if g.status[m].State != healthcheck.Overloaded {
			return false
		}
	}
	return len(g.serving) > 0
}

// weight is that of a member of the pool.
func (g group) weight(m int, by yardstick) int {
	if by == bySpare {
		return g.status[m].Load.Spare()
	}
	return g.pool.members[m].weight
}

// addresses appends the addresses of one family of the members that serve in a unit, or in all
// of them where id is negative, each once.
func (g group) addresses(dst []netip.Addr, id int, ipv6 bool) []netip.Addr {
	for _, m := range g.serving {
		mem := &g.pool.members[m]
		if (id < 0 || mem.unit == id) && mem.addr.Is6() == ipv6 && !contains(dst, mem.addr) {
			dst = append(dst, mem.addr)
		}
	}
	return dst
}

func contains(set []netip.Addr, a netip.Addr) bool {
	for i := range set {
		if set[i] == a {
			return true
		}
	}
	return false
}
