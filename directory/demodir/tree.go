package demodir

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"slices"
	"strings"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
	"github.com/jimlambrt/gldap"
)

// attribute of an entry, in the order in which it is sent.
type attribute struct {
	name        string
	operational bool // sent only when asked for by name or with "+"
	values      []string
}

// entry is one node of the tree.
type entry struct {
	dn         string
	parsed     *ldap.DN
	attributes []attribute
	password   *[sha256.Size]byte // nil: cannot bind
}

// tree holds all entries, parents first. It never changes.
type tree struct{ entries []entry }

// newTree builds the demo's entries.
func newTree() (*tree, error) {
	t := &tree{}
	t.add(BaseDN, "", "dcObject", "organization", "dc", "company", "o", "Company")
	t.add(ServiceDN, ServicePassword, "organizationalRole", "simpleSecurityObject", "cn", "switchpoint")
	for _, ou := range []string{"US", "UK", "Groups", "Staff,OU=US", "Staff,OU=UK", "Travellers,OU=US"} {
		name, _, _ := strings.Cut(ou, ",")
		t.add("OU="+ou+","+BaseDN, "", "organizationalUnit", "top", "ou", name)
	}
	for i, u := range Users() {
		first := strings.ToUpper(u.Name[:1]) + u.Name[1:]
		t.add(u.DN, u.Password, "inetOrgPerson", "person", "uid", u.Name, "cn", first+" Demo", "sn", "Demo", "givenName", first, "mail", u.Name+"@company.com")
		last := &t.entries[len(t.entries)-1]
		last.attributes = append(last.attributes,
			attribute{"entryUUID", true, []string{fmt.Sprintf("5f1d0c3e-0000-4000-8000-%012d", i+1)}},
			attribute{"memberOf", true, u.Groups})
	}
	for _, g := range []string{engineering, finance} {
		var members []string
		for _, u := range Users() {
			if slices.Contains(u.Groups, g) {
				members = append(members, u.DN)
			}
		}
		t.add(g, "", "groupOfNames", "top", "cn", strings.TrimPrefix(strings.Split(g, ",")[0], "cn="))
		last := &t.entries[len(t.entries)-1]
		last.attributes = append(last.attributes, attribute{"member", false, members})
	}
	for i := range t.entries {
		var err error
		if t.entries[i].parsed, err = ldap.ParseDN(t.entries[i].dn); err != nil {
			return nil, fmt.Errorf("demo entry %s: %w", t.entries[i].dn, err)
		}
	}
	return t, nil
}

// add appends an entry with two object classes and pairs of name and value.
func (t *tree) add(dn, password, class1, class2 string, pairs ...string) {
	e := entry{dn: dn, attributes: []attribute{{"objectClass", false, []string{class1, class2}}}}
	for i := 0; i < len(pairs); i += 2 {
		e.attributes = append(e.attributes, attribute{pairs[i], false, []string{pairs[i+1]}})
	}
	if password != "" {
		sum := sha256.Sum256([]byte(password))
		e.password = &sum
	}
	t.entries = append(t.entries, e)
}

// find gives the entry of that DN, or nil.
func (t *tree) find(dn *ldap.DN) *entry {
	for i := range t.entries {
		if t.entries[i].parsed.EqualFold(dn) {
			return &t.entries[i]
		}
	}
	return nil
}

// authenticate compares in constant time, and compares for an unknown DN too.
func (t *tree) authenticate(dn *ldap.DN, password string) bool {
	sum := sha256.Sum256([]byte(password))
	e := t.find(dn)
	if e == nil || e.password == nil {
		var nobody [sha256.Size]byte
		subtle.ConstantTimeCompare(sum[:], nobody[:])
		return false
	}
	return subtle.ConstantTimeCompare(sum[:], e.password[:]) == 1
}

// search gives the entries in scope that match. found is false when the base does not exist.
func (t *tree) search(base *ldap.DN, scope gldap.Scope, filter *ber.Packet) (entries []*entry, found bool) {
	if t.find(base) == nil {
		return nil, false
	}
	for i := range t.entries {
		e := &t.entries[i]
		in := e.parsed.EqualFold(base)
		below := base.AncestorOfFold(e.parsed)
		switch scope {
		case gldap.SingleLevel:
			in = below && len(e.parsed.RDNs) == len(base.RDNs)+1
		case gldap.WholeSubtree:
			in = in || below
		}
		if in && e.matches(filter) == isTrue {
			entries = append(entries, e)
		}
	}
	return entries, true
}

// selected gives the attributes that a request asked for (RFC 4511, 4.5.1.8).
func (e *entry) selected(names []string) []attribute {
	var out []attribute
	for _, a := range e.attributes {
		named := slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, a.name) })
		all := "*"
		if a.operational {
			all = "+"
		}
		if named || slices.Contains(names, all) || len(names) == 0 && !a.operational {
			out = append(out, a)
		}
	}
	return out
}
