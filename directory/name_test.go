package directory

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
)

func TestParseName(t *testing.T) {
	for _, c := range []struct{ typed, account, full string }{
		{"alice", "alice", "alice"},
		{"  alice ", "alice", "alice"},
		{`COMPANY\alice`, "alice", "alice"},
		{`A\B\alice`, "alice", "alice"},
		{"alice@company.com", "alice", "alice@company.com"},
		{"alice@COMPANY.com", "alice", "alice@COMPANY.com"},
		{"alice@uk.company.com", "alice@uk.company.com", "alice@uk.company.com"},
		{"@company.com", "@company.com", "@company.com"},
		{"Zoë Müller", "Zoë Müller", "Zoë Müller"},
		{"*)(uid=*", "*)(uid=*", "*)(uid=*"},
	} {
		n, err := parseName(c.typed, "company.com")
		if err != nil || n.account != c.account || n.full != c.full {
			t.Errorf("parseName(%q) = %+v, %v, want %q and %q", c.typed, n, err, c.account, c.full)
		}
	}
	for _, typed := range []string{"", "  ", `COMPANY\`, "a\x00b", "a\nb", "a\xff", strings.Repeat("x", maxName+1)} {
		if _, err := parseName(typed, ""); !errors.Is(err, ErrRefused) {
			t.Errorf("parseName(%.20q) gives %v, want a refusal", typed, err)
		}
	}
}

// TestLookalikes: a name that only looks like an account's is none of its names.
func TestLookalikes(t *testing.T) {
	entry := func(dn string, attrs map[string][]string) Entry { return Entry{DN: dn, Attributes: attrs} }
	bob := entry("uid=bob,dc=company,dc=com", map[string][]string{"uid": {"bob"}})
	zoe := entry("cn=Zoë Müller,dc=company,dc=com", map[string][]string{"uid": {"zmueller"}})
	andre := entry("cn=x,dc=company,dc=com", map[string][]string{"sAMAccountName": {"andré"}})
	for _, c := range []struct {
		typed string
		entry Entry
		want  bool
	}{
		{"bob", bob, true}, {"BOB", bob, true}, {"anything of ASCII", bob, true}, // the directory has compared it
		{"ｂob", bob, false}, {"𝐛ob", bob, false}, {"bób", bob, false}, {`CORP\ｂｏｂ`, bob, false}, {"bob@ｃompany.com", bob, false},
		{"zoë müller", zoe, true}, {"ｚmueller", zoe, false},
		{"ANDRÉ", andre, true}, {"andre", andre, true}, {"andre\u0301", andre, true}, // typed in another form
		{"ｊane", entry("cn=jane,dc=company,dc=com", nil), false},
		{"ｊane", entry("no dn", nil), false},
	} {
		n, err := parseName(c.typed, "company.com")
		if err != nil || n.names(c.entry) != c.want {
			t.Errorf("%q for %s: %v, want %v (%v)", c.typed, c.entry.DN, !c.want, c.want, err)
		}
	}
}

func TestBaseDomain(t *testing.T) {
	for base, want := range map[string]string{
		"dc=company,dc=com": "company.com", "OU=x,DC=uk,DC=company,DC=com": "uk.company.com",
		"o=company": "", "": "", "no dn": "",
	} {
		if got := baseDomain(base); got != want {
			t.Errorf("baseDomain(%q) = %q, want %q", base, got, want)
		}
	}
}

// Whatever is typed, the filter keeps its shape and compares with exactly that.
func FuzzUserFilter(f *testing.F) {
	for _, s := range []string{"alice", "*)(uid=*", "a*", `\2a`, "(", "{user}{upn}", "a@b", `D\x`, "é", "a\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		n, err := parseName(typed, "company.com")
		if err != nil {
			if !errors.Is(err, ErrRefused) {
				t.Fatalf("%q: %v", typed, err)
			}
			return
		}
		if len(n.account) > maxName || !utf8.ValidString(n.account) {
			t.Fatalf("%q became %q", typed, n.account)
		}
		p, err := ldap.CompileFilter(newFilterTemplate(DefaultUserFilter).build(n))
		if err != nil {
			t.Fatalf("%q gives no filter: %v", typed, err)
		}
		if p.Tag != ldap.FilterOr || len(p.Children) != 3 {
			t.Fatalf("%q changed the shape of the filter", typed)
		}
		for i, want := range []string{n.account, n.account, n.full} {
			c := p.Children[i]
			if c.Tag != ldap.FilterEqualityMatch || c.Children[1].Data.String() != want {
				t.Fatalf("%q: part %d compares with %q, want equality with %q", typed, i, c.Children[1].Data.String(), want)
			}
		}
	})
}

func TestFilterPlaceholdersAreNotSoughtInNames(t *testing.T) {
	got := newFilterTemplate("(&(uid={user})(mail={upn}))").build(loginName{account: "{upn}*", full: "(x)"})
	if want := `(&(uid={upn}\2a)(mail=\28x\29))`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
