package broker

import (
	"errors"
	"fmt"
	"strings"

	"switchpoint/internal/problem"
	"switchpoint/redirect"
)

// policy is a compiled Policy. A policy matches exactly as a redirect rule does, because it is
// one: a table of one rule that leads here.
type policy struct {
	Policy
	rule *redirect.Table // nil: everybody
}

// compilePolicy reports the problems of match, attribute and value.
func compilePolicy(p Policy) (policy, error) {
	if p.Attribute == "" {
		var l problem.List
		if p.Match != "" || p.Value != "" {
			l.Addf("attribute", "name the attribute, or leave match and value out for a policy for everybody", "policy %q compares no attribute", p.Name)
		}
		return policy{Policy: p}, l.Err()
	}
	const here = "here"
	value := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(p.Value) + `"`
	rule, err := redirect.Compile(redirect.Config{Attribute: p.Attribute, Match: p.Match, Rules: value + " > " + here, Default: "reject"},
		[]redirect.Destination{{Name: here, Cluster: here}}, here)
	if err != nil {
		return policy{}, inPolicyWords(err)
	}
	return policy{Policy: p, rule: rule}, nil
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

// matches says whether the policy is for a user with these attributes.
func (p policy) matches(attributes map[string][]string) bool {
	return p.rule == nil || redirect.Decide(p.rule, redirect.Question{Attributes: attributes}).Action == redirect.LogInHere
}

// choosePolicy returns the grants of the first policy that matches, and why. ok is false when
// none does.
func choosePolicy(policies []policy, kinds map[string]string, attributes map[string][]string) (grants []Grant, ok bool, reason string) {
	for _, p := range policies {
		if !p.matches(attributes) {
			continue
		}
		for _, pool := range p.Pools {
			if kinds[pool] == KindPooled {
				grants = append(grants, Grant{Pool: pool, MaxOffers: p.MaxOffers})
			}
		}
		if p.Attribute == "" {
			return grants, true, fmt.Sprintf("policy %q: it is for everybody", p.Name)
		}
		return grants, true, fmt.Sprintf("policy %q: %s %s %q", p.Name, p.Attribute, p.Match, p.Value)
	}
	return nil, false, "no policy matches"
}
