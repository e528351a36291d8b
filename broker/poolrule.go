package broker

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"switchpoint/internal/problem"
)

// poolMatch is how a rule compares. Case never counts: names of machines have none.
//
//	word              short  applies if                          no value at all
//	equals            eq     any value is equal                  no
//	does-not-equal    ne     no value is equal                   yes
//	contains          ct     any value contains it               no
//	does-not-contain  nc     no value contains it                yes
//	begins-with       bw     any value begins with it            no
//	ends-with         ew     any value ends with it              no
//	greater-than      gt     any value is greater                no
//	less-than         lt     any value is less                   no
//	in-network        ip     any value is an address of it       no
//	not-in-network    np     no value is an address of it        yes
//	any-value-exists  any    any value is not empty              no
//	regex             re     any value matches                   no
//
// Greater and less compare numbers where both sides are numbers, else text.
type poolMatch struct {
	word, short string
	negated     bool
}

// poolMatches are all of them.
func poolMatches() []poolMatch {
	return []poolMatch{
		{"equals", "eq", false}, {"does-not-equal", "ne", true}, {"contains", "ct", false}, {"does-not-contain", "nc", true},
		{"begins-with", "bw", false}, {"ends-with", "ew", false}, {"greater-than", "gt", false}, {"less-than", "lt", false},
		{"in-network", "ip", false}, {"not-in-network", "np", true}, {"any-value-exists", "any", false}, {"regex", "re", false},
	}
}

func findPoolMatch(s string) (poolMatch, bool) {
	for _, m := range poolMatches() {
		if s == m.word || s == m.short {
			return m, true
		}
	}
	return poolMatch{}, false
}

// PoolAttributes are what rules can look at.
func PoolAttributes() []string {
	return []string{"name", "host", "ip", "os", "center", "ou", "description", "tag"}
}

const (
	maxRuleValue = 1024
	maxPoolRules = 64
)

// poolRule is a compiled PoolRule.
type poolRule struct {
	PoolRule
	poolMatch
	value  string // lower case
	number float64
	isNum  bool
	prefix netip.Prefix
	regexp *regexp.Regexp
}

// compilePoolRule reports the problems of attribute, match and value.
func compilePoolRule(r PoolRule) (poolRule, error) {
	var l problem.List
	if !slices.Contains(PoolAttributes(), r.Attribute) {
		l.Addf("attribute", "use one of: "+strings.Join(PoolAttributes(), ", "), "desktops have no attribute %q", r.Attribute)
	}
	m, ok := findPoolMatch(r.Match)
	if !ok {
		var words []string
		for _, m := range poolMatches() {
			words = append(words, m.word)
		}
		l.Addf("match", "use one of: "+strings.Join(words, ", "), "%q is no kind of match", r.Match)
	}
	c := poolRule{PoolRule: r, poolMatch: m, value: strings.ToLower(r.Value)}
	switch {
	case len(r.Value) > maxRuleValue || !printable(r.Value):
		l.Addf("value", "write printable text", "the value is longer than %d bytes or no text", maxRuleValue)
	case m.short == "any":
		if r.Value != "" {
			l.Addf("value", "remove it", "%q looks at no value", r.Match)
		}
	case r.Value == "":
		l.Addf("value", "write what to compare with", "the value is empty")
	case m.short == "ip" || m.short == "np":
		var err error
		if c.prefix, err = ParsePrefix(r.Value); err != nil {
			l.Addf("value", `write an address or a prefix, e.g. "10.0.0.0/8"`, "%q is no address prefix", r.Value)
		}
	case m.short == "re":
		var err error
		if c.regexp, err = regexp.Compile("(?i)" + r.Value); err != nil {
			l.Addf("value", "write a regular expression in RE2 syntax", "%v", err)
		}
	default:
		var err error
		c.number, err = strconv.ParseFloat(c.value, 64)
		c.isNum = err == nil
	}
	return c, l.Err()
}

// applies compares the values of the rule's attribute.
func (r *poolRule) applies(m *Machine, center string) bool {
	for _, v := range m.values(r.Attribute, center) {
		if v != "" && r.fits(v) {
			return !r.negated
		}
	}
	return r.negated
}

func (r *poolRule) fits(v string) bool {
	switch r.short {
	case "any":
		return true
	case "re":
		return r.regexp.MatchString(v)
	case "ip", "np":
		a, err := netip.ParseAddr(v)
		return err == nil && r.prefix.Contains(a.Unmap())
	}
	v = strings.ToLower(v)
	switch r.short {
	case "eq", "ne":
		return v == r.value
	case "ct", "nc":
		return strings.Contains(v, r.value)
	case "bw":
		return strings.HasPrefix(v, r.value)
	case "ew":
		return strings.HasSuffix(v, r.value)
	case "gt":
		return r.compare(v) > 0
	default: // lt
		return r.compare(v) < 0
	}
}

func (r *poolRule) compare(v string) int {
	if n, err := strconv.ParseFloat(v, 64); err == nil && r.isNum {
		return cmp.Compare(n, r.number)
	}
	return strings.Compare(v, r.value)
}

// String reads as a part of a sentence.
func (r *poolRule) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Attribute, r.word, quoted(r.Value)))
}

func quoted(s string) string {
	if s == "" {
		return ""
	}
	return strconv.Quote(s)
}

// Placement says in which pool a desktop stands. It is immutable.
type Placement struct {
	pools []placedPool
}

type placedPool struct {
	name   string
	pooled bool
	listed map[string]bool // by name in lower case
	rules  []poolRule
}

// NewPlacement compiles the rules of pools, which must be valid.
func NewPlacement(pools []DesktopPool) (*Placement, error) {
	p := &Placement{pools: make([]placedPool, len(pools))}
	for i, in := range pools {
		out := placedPool{name: in.Name, pooled: in.Kind == KindPooled, listed: make(map[string]bool, len(in.Desktops))}
		for _, d := range in.Desktops {
			out.listed[strings.ToLower(d)] = true
		}
		for j, r := range in.Rules {
			c, err := compilePoolRule(r)
			if err != nil {
				return nil, fmt.Errorf("rule %d of desktop pool %s: %w", j+1, in.Name, err)
			}
			out.rules = append(out.rules, c)
		}
		p.pools[i] = out
	}
	return p, nil
}

// Place returns the pool of a desktop, or "" with the reason. given is the pool that its [[desktop]]
// entry names, center where it comes from. One desktop stands in one pool, the first in the order of
// the setup that takes it: were it in two, it would count as free in both, and which rule gave it to
// whom could not be told. A desktop that is assigned to a user is never in a pooled pool: somebody
// else would get it.
func (p *Placement) Place(m *Machine, center, given string, assigned bool) (pool, reason string) {
	for i := range p.pools {
		t := &p.pools[i]
		switch {
		case given != "" && given != t.name:
		case assigned && t.pooled:
			reason = fmt.Sprintf("it is assigned to a user, so pooled desktop pool %q does not take it", t.name)
		case given != "":
			return t.name, "its [[desktop]] entry names the pool"
		case t.listed[strings.ToLower(m.Name)]:
			return t.name, "the pool lists it"
		default:
			if why, ok := t.takes(m, center); ok {
				return t.name, why
			}
		}
	}
	return "", cmp.Or(reason, "no desktop pool takes it")
}

// takes says whether all rules apply; a pool without rules takes nothing by them.
func (t *placedPool) takes(m *Machine, center string) (string, bool) {
	var why []string
	for i := range t.rules {
		if !t.rules[i].applies(m, center) {
			return "", false
		}
		why = append(why, t.rules[i].String())
	}
	return strings.Join(why, " and "), len(why) > 0
}
