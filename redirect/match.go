package redirect

import (
	"regexp"
	"slices"
	"strings"
)

// match is how a rule's value is compared with the values of the attribute (RD6).
//
// With several values of the attribute, and with none:
//
//	kind              applies if                  no value at all
//	equals            any value is equal          no
//	does-not-equal    no value is equal           yes
//	contains          any value contains it       no
//	does-not-contain  no value contains it        yes
//	begins-with       any value begins with it    no
//	ends-with         any value ends with it      no
//	any-value-exists  any value is not empty      no
//	regex             any value matches           no
type match uint8

const (
	matchEquals match = iota
	matchNotEqual
	matchContains
	matchNotContain
	matchBegins
	matchEnds
	matchExists
	matchRegex
)

// matchNames gives the words of the configuration, at the index of their match.
func matchNames() []string {
	return []string{"equals", "does-not-equal", "contains", "does-not-contain", "begins-with", "ends-with", "any-value-exists", "regex"}
}

func parseMatch(s string) (match, bool) {
	i := slices.Index(matchNames(), s)
	return match(max(i, 0)), i >= 0
}

// verb is the match as a part of a sentence: attribute VERB value.
func (m match) verb() string {
	return [...]string{"equals", "equals", "contains", "contains", "begins with", "ends with", "is not empty", "matches"}[m]
}

// negated kinds apply when no value fits.
func (m match) negated() bool { return m == matchNotEqual || m == matchNotContain }

// pattern is a rule's value, ready to be compared.
type pattern struct {
	kind   match
	fold   bool   // ignore case
	value  string // lower case when fold
	regexp *regexp.Regexp
}

// fits compares one value of the attribute, leaving negation to the caller.
func (p pattern) fits(v string) bool {
	if p.kind == matchRegex {
		return p.regexp.MatchString(v)
	}
	if p.fold {
		v = strings.ToLower(v)
	}
	switch p.kind {
	case matchEquals, matchNotEqual:
		return v == p.value
	case matchContains, matchNotContain:
		return strings.Contains(v, p.value)
	case matchBegins:
		return strings.HasPrefix(v, p.value)
	case matchEnds:
		return strings.HasSuffix(v, p.value)
	default: // matchExists
		return v != ""
	}
}

// applies compares all values of the attribute and gives the value that decided, if there is one.
func (p pattern) applies(values []string) (applies bool, value string, found bool) {
	if i := slices.IndexFunc(values, p.fits); i >= 0 {
		return !p.kind.negated(), values[i], true
	}
	return p.kind.negated(), "", false
}
