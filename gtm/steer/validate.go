package steer

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"switchpoint/internal/problem"
)

// Bounds.
const (
	maxTTL    = 24 * time.Hour
	maxWeight = 65535 // what an SRV record holds
)

// Validate reports what is wrong with the steering of a name that has its defaults, with paths
// relative to the name. Names, addresses and hosts are gtm's to check.
func (n Name) Validate() error {
	var l problem.List
	oneOf(&l, "method", n.Method, MethodRoundRobin, MethodWeighted, MethodFailover, MethodHash, MethodLeastLoad)
	oneOf(&l, "between", n.Between, BetweenTopology, BetweenFailover, BetweenWeighted, BetweenMode)
	oneOf(&l, "all_down", n.AllDown, AllDownLastGood, AllDownAll, AllDownFallback, AllDownNoData, AllDownServFail)
	if n.Answers < 0 || n.Answers > MaxAnswers {
		l.Addf("answers", fmt.Sprintf("write 1 to %d, or leave it out for the method's default", MaxAnswers),
			"%d addresses in an answer are not possible", n.Answers)
	}
	n.validateTTL(&l)
	if n.PreferNormal && n.Monitor == "" {
		l.Addf("prefer_normal", "name a monitor that asks the is_alive page, or remove it", "without a monitor no member says in which mode it works")
	}
	switch {
	case n.AllDown == AllDownFallback && len(n.Fallback) == 0:
		l.Addf("fallback", `list addresses that answer when nothing else does, as in fallback = ["192.0.2.80"]`,
			"all_down = %q has no fallback addresses", AllDownFallback)
	case n.AllDown != AllDownFallback && len(n.Fallback) > 0:
		l.Addf("fallback", fmt.Sprintf("write all_down = %q, or remove the addresses", AllDownFallback),
			"fallback addresses are never answered with all_down = %q", n.AllDown)
	}
	n.validateDirector(&l)
	n.validatePools(&l)
	return l.Err()
}

func oneOf(l *problem.List, path, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		l.Addf(path, "write one of "+strings.Join(allowed, ", "), "%q is not known", value)
	}
}

func (n Name) validateTTL(l *problem.List) {
	if n.TTL < time.Second || n.TTL > maxTTL || n.TTL%time.Second != 0 {
		l.Addf("ttl", "write whole seconds from \"1s\" to \"24h\"", "a TTL of %s cannot be served", n.TTL)
		return // nothing to compare ttl_min with
	}
	if n.TTLMin < time.Second || n.TTLMin > n.TTL || n.TTLMin%time.Second != 0 {
		l.Addf("ttl_min", fmt.Sprintf("write whole seconds from \"1s\" to the ttl, %q", n.TTL.String()),
			"a shortest TTL of %s cannot be served", n.TTLMin)
	}
}

// validateDirector checks when pools go out and come back.
func (n Name) validateDirector(l *problem.List) {
	if !(n.UpThresh >= 0 && n.UpThresh <= 1) { // so that "not a number" is refused too
		l.Addf("up_thresh", "write a share from 0 to 1, as in 0.5", "%v is no share of the members", n.UpThresh)
	}
	if n.FailbackDelay < 0 {
		l.Addf("failback_delay", `write a time, as in "5m", or leave it out for none`, "a delay of %s is not possible", n.FailbackDelay)
	}
	if n.MaxDemotions < 1 {
		l.Addf("max_demotions", "write 1 or more", "with %d no pool could ever be taken out", n.MaxDemotions)
	}
	if most := len(n.Pools); most > 0 && (n.MinDatacenters < 1 || n.MinDatacenters > most) {
		l.Addf("min_datacenters", fmt.Sprintf("write 1 to %d, the number of its pools", most),
			"%d datacenters cannot be kept in", n.MinDatacenters)
	}
}

// validatePools checks what the choice between pools needs, and refuses what it would not look at.
func (n Name) validatePools(l *problem.List) {
	modes := map[string]bool{}
	for j, p := range n.Pools {
		path := fmt.Sprintf("pool[%d]", j)
		switch {
		case p.Weight < 1 || p.Weight > maxWeight:
			l.Addf(path+".weight", fmt.Sprintf("write 1 to %d", maxWeight), "a weight of %d is not possible", p.Weight)
		case p.Weight != 1 && n.Between != BetweenWeighted:
			l.Addf(path+".weight", fmt.Sprintf("write between = %q, or remove it", BetweenWeighted),
				"the weight of a pool means nothing with between = %q", n.Between)
		}
		modes[p.Mode] = true
		switch {
		case n.Between == BetweenMode:
			oneOf(l, path+".mode", p.Mode, ModePrimary, ModeDR)
		case p.Mode != "":
			l.Addf(path+".mode", fmt.Sprintf("write between = %q, or remove it", BetweenMode),
				"the mode of a pool means nothing with between = %q", n.Between)
		}
	}
	if n.Between != BetweenMode {
		return
	}
	for _, mode := range []string{ModePrimary, ModeDR} {
		if !modes[mode] && len(n.Pools) > 0 {
			l.Addf("pool", fmt.Sprintf("write mode = %q in one of them", mode),
				"no pool has the mode %q: the switch to it would leave nobody", mode)
		}
	}
}
