package directory

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// maxRanges bounds the reads for one attribute: Active Directory gives 1,500 values with each.
const maxRanges = 200

// completeRanges reads what is left of attributes of which the server gave a part only: Active
// Directory answers memberOf with memberOf;range=0-1499 when there are more (MS-ADTS
// 3.1.1.3.1.3.3). Each then has its own name again and all values.
func completeRanges(l *ldap.Conn, e *ldap.Entry) error {
	for i := range e.Attributes {
		a := e.Attributes[i]
		name, next, ranged := parseRange(a.Name)
		if !ranged {
			continue
		}
		for reads := 0; next >= 0; reads++ {
			if reads == maxRanges {
				return &verdict{fmt.Errorf("%s has more than %d values", name, next)}
			}
			part, err := readRange(l, e.DN, name, next)
			if err != nil {
				return err
			}
			_, after, _ := parseRange(part.Name)
			if after >= 0 && after <= next {
				return fmt.Errorf("the server gives %s in parts that do not end", name)
			}
			a.Values, a.ByteValues, next = append(a.Values, part.Values...), append(a.ByteValues, part.ByteValues...), after
		}
		a.Name = name
	}
	dropEmptyTwins(e)
	return nil
}

func readRange(l *ldap.Conn, dn, name string, from int) (*ldap.EntryAttribute, error) {
	ask := fmt.Sprintf("%s;range=%d-*", name, from)
	res, err := l.Search(ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 0, false, "(objectClass=*)", []string{ask}, nil))
	if err != nil {
		return nil, err
	}
	if len(res.Entries) == 1 {
		for _, a := range res.Entries[0].Attributes {
			if got, _, ranged := parseRange(a.Name); ranged && strings.EqualFold(got, name) {
				return a, nil
			}
		}
	}
	return nil, fmt.Errorf("the server does not give the rest of %s", name)
}

// parseRange takes "memberOf;range=0-1499" apart: the name, and the number of the value that comes
// next, -1 after the last ("range=1500-*").
func parseRange(attribute string) (name string, next int, ranged bool) {
	name, option, found := strings.Cut(attribute, ";")
	if !found || len(option) < 6 || !strings.EqualFold(option[:6], "range=") {
		return attribute, 0, false
	}
	_, last, found := strings.Cut(option[6:], "-")
	if !found {
		return attribute, 0, false
	}
	if last == "*" {
		return name, -1, true
	}
	n, err := strconv.ParseUint(last, 10, 31)
	if err != nil {
		return attribute, 0, false
	}
	return name, int(n) + 1, true
}

// dropEmptyTwins removes the attribute without values that Active Directory sends beside one with
// a range.
func dropEmptyTwins(e *ldap.Entry) {
	have := make(map[string]bool, len(e.Attributes))
	for _, a := range e.Attributes {
		if len(a.ByteValues) > 0 {
			have[strings.ToLower(a.Name)] = true
		}
	}
	kept := e.Attributes[:0]
	for _, a := range e.Attributes {
		if len(a.ByteValues) > 0 || !have[strings.ToLower(a.Name)] {
			kept = append(kept, a)
		}
	}
	e.Attributes = kept
}
