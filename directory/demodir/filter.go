package demodir

import (
	"strings"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// truth is the three-valued logic of filters (RFC 4511, 4.5.1.7).
type truth int8

const (
	isFalse truth = iota
	isUndefined
	isTrue
)

// matches evaluates a filter, as go-ldap compiles it, on an entry.
func (e *entry) matches(f *ber.Packet) truth {
	if f == nil || f.ClassType != ber.ClassContext {
		return isUndefined
	}
	switch f.Tag {
	case ldap.FilterAnd:
		all := isTrue
		for _, child := range f.Children {
			all = min(all, e.matches(child))
		}
		return all
	case ldap.FilterOr:
		one := isFalse
		for _, child := range f.Children {
			one = max(one, e.matches(child))
		}
		return one
	case ldap.FilterNot:
		if len(f.Children) == 1 {
			return isTrue - e.matches(f.Children[0])
		}
	case ldap.FilterEqualityMatch:
		if len(f.Children) == 2 {
			return e.has(text(f.Children[0]), text(f.Children[1]))
		}
	case ldap.FilterPresent:
		return e.present(text(f))
	}
	return isUndefined
}

// has compares as caseIgnoreMatch does, which all attributes of the demo use.
func (e *entry) has(name, value string) truth {
	for _, a := range e.attributes {
		if !strings.EqualFold(a.name, name) {
			continue
		}
		for _, v := range a.values {
			if strings.EqualFold(v, value) {
				return isTrue
			}
		}
	}
	return isFalse
}

func (e *entry) present(name string) truth {
	for _, a := range e.attributes {
		if strings.EqualFold(a.name, name) {
			return isTrue
		}
	}
	return isFalse
}

// text is the content of a primitive element of a compiled filter.
func text(p *ber.Packet) string { return p.Data.String() }
