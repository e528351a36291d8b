package demodir

import (
	"testing"

	"github.com/go-ldap/ldap/v3"
	"github.com/jimlambrt/gldap"
)

// gldap decodes the wire and recovers from its own panics, but not from a handler's: whatever a
// request says, it is decided without one, and a client that is not the service account sees
// nothing but the root DSE.
func FuzzAnswer(f *testing.F) {
	for _, filter := range []string{"(uid=alice)", "(&(|(uid=*)(a=b))(!(cn>=x)))", "(&)", "(!(uid=al*))", "(uid:dn:2.5.13.2:=x)", `(uid=\2a)`, "((", ""} {
		f.Add(BaseDN, int64(2), int64(0), filter, "*")
	}
	f.Add("", int64(0), int64(0), "(objectClass=*)", "+")
	f.Add("", int64(2), int64(1), "(objectClass=*)", "1.1")
	f.Add("OU=US+x=#04,"+BaseDN, int64(1), int64(-1), "(ou=*)", "ou")
	tree, err := newTree()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, base string, scope, size int64, filter, attribute string) {
		m := &gldap.SearchMessage{BaseDN: base, Scope: gldap.Scope(scope), SizeLimit: size, Filter: filter, Attributes: []string{attribute}}
		for _, service := range []bool{false, true} {
			entries, res := tree.answer(m, service)
			if len(entries) > 0 && res.code != gldap.ResultSuccess && res.code != gldap.ResultSizeLimitExceeded {
				t.Errorf("%d entries with code %d", len(entries), res.code)
			}
			if size > 0 && int64(len(entries)) > size {
				t.Errorf("%d entries, the limit was %d", len(entries), size)
			}
			for _, e := range entries {
				if !service && e.dn != "" {
					t.Errorf("a stranger sees %s", e.dn)
				}
			}
		}
		if p, err := ldap.CompileFilter(filter); err == nil {
			if not, err := ldap.CompileFilter("(!" + filter + ")"); err == nil {
				for _, e := range tree.entries {
					if e.matches(not) != isTrue-e.matches(p) {
						t.Errorf("%s and its opposite agree on %s", filter, e.dn)
					}
				}
			}
		}
	})
}

func FuzzBind(f *testing.F) {
	f.Add(ServiceDN, ServicePassword)
	f.Add(ServiceDN, "")
	f.Add("", "")
	f.Add("uid=\\zz,+", "x")
	f.Add("uid=#0405,"+BaseDN, "x")
	tree, err := newTree()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name, password string) {
		res, service := tree.bind(name, password)
		if service && password != ServicePassword {
			t.Errorf("%q is the service account with a wrong password", name)
		}
		if service && res.code != gldap.ResultSuccess {
			t.Errorf("the service account with code %d", res.code)
		}
		if name != "" && password == "" && res.code == gldap.ResultSuccess {
			t.Errorf("%q needs no password", name)
		}
	})
}
