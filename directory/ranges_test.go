package directory

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"switchpoint/internal/covers"
)

// rangesServer gives memberOf in parts of 1,500, as Active Directory does; Samba has no such bound.
func rangesServer(t *testing.T, values int, part func(from int) string) string {
	return fakeServer(t, func(id int64, op *ber.Packet) []byte {
		switch op.Tag {
		case ldap.ApplicationBindRequest:
			return message(id, resultOf(ldap.ApplicationBindResponse, 0, ""))
		case ldap.ApplicationSearchRequest:
		default:
			return nil
		}
		base, scope, attributes := asked(op)
		const dn = "CN=carol,DC=company,DC=com"
		var out []byte
		switch {
		case base == "":
		case scope == ldap.ScopeBaseObject && len(attributes) == 1 && strings.HasPrefix(attributes[0], "memberOf;range="):
			var from int
			if _, err := fmt.Sscanf(attributes[0], "memberOf;range=%d-*", &from); err != nil || base != dn {
				t.Errorf("asked for %q of %q", attributes[0], base)
			}
			out = message(id, entryOf(dn, "memberOf", "", part(from), groupNames(from, values)))
		case slices.Contains(attributes, "memberOf"):
			out = message(id, entryOf(dn, "sAMAccountName", "carol", "memberOf", "", part(0), groupNames(0, values)))
		default:
			out = message(id, entryOf(dn, "sAMAccountName", "carol"))
		}
		return append(out, done(id)...)
	})
}

func groupNames(from, values int) string {
	var b strings.Builder
	for i := from; i < min(from+1500, values); i++ {
		fmt.Fprintf(&b, "CN=group %05d,DC=company,DC=com;", i)
	}
	return b.String()
}

func TestRangeRetrieval(t *testing.T) {
	covers.Req(t, "LD2")
	for _, values := range []int{1501, 3000, 10_000} {
		address := rangesServer(t, values, func(from int) string {
			if from+1500 >= values {
				return fmt.Sprintf("memberOf;range=%d-*", from)
			}
			return fmt.Sprintf("memberOf;range=%d-%d", from, from+1499)
		})
		cfg := fakeConfig(address)
		cfg.Timeout = 10 * time.Second
		e, err := newClient(t, cfg).Authenticate(t.Context(), "carol", "x", []string{"memberOf"})
		got := e.Attributes["memberOf"]
		if err != nil || len(got) != values || !slices.IsSorted(got) || len(e.Attributes) != 3 {
			t.Errorf("%d values: %d in %d attributes, %v", values, len(got), len(e.Attributes), err)
		}
	}
}

// Parts that do not go on, are of something else, or do not end, end the search.
func TestRangesThatDoNotEnd(t *testing.T) {
	for what, part := range map[string]func(int) string{
		"again the first": func(int) string { return "memberOf;range=0-1499" },
		"something else": func(from int) string {
			if from == 0 {
				return "memberOf;range=0-1499"
			}
			return "other"
		},
		"one by one": func(from int) string { return fmt.Sprintf("memberOf;range=%d-%d", from, from) },
	} {
		c := newClient(t, fakeConfig(rangesServer(t, 1500, part)))
		if e, err := c.Search(t.Context(), "carol", []string{"memberOf"}); err == nil || errors.Is(err, ErrRefused) {
			t.Errorf("%s: %d values, %v", what, len(e.Attributes["memberOf"]), err)
		}
	}
}

func TestParseRange(t *testing.T) {
	for in, want := range map[string]string{
		"memberOf;range=0-1499": "memberOf 1500 true", "member;Range=1500-*": "member -1 true", "cn": "cn 0 false", "cn;lang-de": "cn;lang-de 0 false",
		"cn;range=": "cn;range= 0 false", "cn;range=0-x": "cn;range=0-x 0 false", "cn;range=5": "cn;range=5 0 false", "cn;range=0--2": "cn;range=0--2 0 false",
		"cn;range=0-99999999999999999999": "cn;range=0-99999999999999999999 0 false",
	} {
		name, next, ranged := parseRange(in)
		if got := fmt.Sprint(name, " ", next, " ", ranged); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
