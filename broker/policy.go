package broker

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"switchpoint/internal/problem"
	"switchpoint/redirect"
)

// policy is a compiled Policy. A policy matches exactly as a redirect rule does, because it is
// one: a table of one rule that leads here.
type policy struct {
	Policy
	rule      *redirect.Table // nil: everybody
	locations []netip.Prefix  // empty: everywhere
	idle      time.Duration   // of SessionExpiry; negative: never; 0: the broker's
}

// compilePolicy reports the problems of match, attribute, value and locations.
func compilePolicy(p Policy) (policy, error) {
	var l problem.List
	out := policy{Policy: p}
	for i, text := range p.Locations {
		prefix, err := ParsePrefix(text)
		if err != nil {
			l.Addf(index("locations", i), `write an address or a prefix, e.g. "10.1.0.0/16"`, "%q is no address prefix", text)
		}
		out.locations = append(out.locations, prefix)
	}
	if p.SessionExpiry != "" {
		idle, err := parseExpiry(p.SessionExpiry)
		if err != nil {
			l.Addf("session_expiry", expiryCure(), "%v", err)
		}
		out.idle = idle
	}
	if p.Attribute == "" {
		if p.Match != "" || p.Value != "" {
			l.Addf("attribute", "name the attribute, or leave match and value out for a policy for everybody", "policy %q compares no attribute", p.Name)
		}
		return out, l.Err()
	}
	const here = "here"
	value := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(p.Value) + `"`
	var err error
	out.rule, err = redirect.Compile(redirect.Config{Attribute: p.Attribute, Match: p.Match, Rules: value + " > " + here, Default: "reject"},
		[]redirect.Destination{{Name: here, Cluster: here}}, here)
	if err != nil {
		l.Under("", inPolicyWords(err))
	}
	return out, l.Err()
}

// inPolicyWords renames the place of a fault: what is a line of rules there is the value here.
func inPolicyWords(err error) error {
	list, ok := errors.AsType[problem.List](err)
	if !ok {
		return err
	}
	out := make(problem.List, len(list))
	for i, p := range list {
		if p.Path == "rules" {
			p.Path = "value"
		}
		out[i] = p
	}
	return out.Err()
}

// everybody says whether the policy matches whoever asks.
func (p Policy) everybody() bool { return p.Attribute == "" && len(p.Locations) == 0 }

// matches says whether the policy is for a user with these attributes at that address.
func (p policy) matches(attributes map[string][]string, client netip.Addr) bool {
	if len(p.locations) > 0 && !slices.ContainsFunc(p.locations, func(l netip.Prefix) bool { return l.Contains(client) }) {
		return false
	}
	return p.rule == nil || redirect.Decide(p.rule, redirect.Question{Attributes: attributes}).Action == redirect.LogInHere
}

// reason is why the policy matches.
func (p policy) reason() string {
	if p.everybody() {
		return fmt.Sprintf("policy %q: it is for everybody", p.Name)
	}
	var why []string
	if p.Attribute != "" {
		why = append(why, fmt.Sprintf("%s %s %q", p.Attribute, p.Match, p.Value))
	}
	if len(p.Locations) > 0 {
		why = append(why, "the client is in "+strings.Join(p.Locations, " or "))
	}
	return fmt.Sprintf("policy %q: %s", p.Name, strings.Join(why, " and "))
}

// grants are what the policy allows. Pools of assigned desktops only carry its protocol.
func (p policy) grants(kinds map[string]string) []Grant {
	var out []Grant
	for _, pool := range p.Pools {
		g := Grant{Pool: pool, MaxOffers: p.MaxOffers, Order: p.Order, Protocol: p.Protocol, MaxSessions: p.MaxSessions}
		if kinds[pool] == KindPooled || p.Protocol != "" {
			out = append(out, g)
		}
	}
	return out
}

// choosePolicy returns the first policy that matches, and why. ok is false when none does.
// client is the address of the client; a text that is none is nowhere.
func choosePolicy(policies []policy, attributes map[string][]string, client string) (p policy, ok bool, reason string) {
	address, _ := netip.ParseAddr(client)
	address = address.Unmap().WithZone("")
	for _, p := range policies {
		if p.matches(attributes, address) {
			return p, true, p.reason()
		}
	}
	return policy{}, false, "no policy matches"
}
