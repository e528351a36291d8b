package demodir

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// serve runs a server for the length of the test.
func serve(t testing.TB, o Options) *Server {
	t.Helper()
	o.Listen = "127.0.0.1:0"
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s
}

func dial(t *testing.T, s *Server) *ldap.Conn {
	t.Helper()
	raw, err := net.DialTimeout("tcp", s.Addr().String(), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	c := ldap.NewConn(raw, false)
	c.Start()
	c.SetTimeout(10 * time.Second)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func search(c *ldap.Conn, base string, scope int, filter string, size int, attrs ...string) (*ldap.SearchResult, error) {
	return c.Search(ldap.NewSearchRequest(base, scope, ldap.NeverDerefAliases, size, 0, false, filter, attrs, nil))
}

func TestBind(t *testing.T) {
	c := dial(t, serve(t, Options{}))
	alice := Users()[0]
	if err := c.Bind(alice.DN, alice.Password); err != nil {
		t.Errorf("right password: %v", err)
	}
	if err := c.Bind(strings.ReplaceAll(strings.ToUpper(alice.DN), ",", ", "), alice.Password); err != nil {
		t.Errorf("the same DN in other letters: %v", err)
	}
	for _, b := range []struct {
		dn, password string
		code         uint16
	}{
		{alice.DN, "wrong", ldap.LDAPResultInvalidCredentials},
		{alice.DN, Users()[1].Password, ldap.LDAPResultInvalidCredentials},
		{"uid=nobody," + BaseDN, "x", ldap.LDAPResultInvalidCredentials},
		{BaseDN, "x", ldap.LDAPResultInvalidCredentials},
		{"no dn", "x", ldap.LDAPResultInvalidCredentials},
	} {
		if err := c.Bind(b.dn, b.password); !ldap.IsErrorWithCode(err, b.code) {
			t.Errorf("bind as %q: %v, want code %d", b.dn, err, b.code)
		}
	}
	if err := c.UnauthenticatedBind(alice.DN); !ldap.IsErrorWithCode(err, ldap.LDAPResultUnwillingToPerform) {
		t.Errorf("bind without a password: %v", err)
	}
}

func TestOnlyTheServiceAccountSearches(t *testing.T) {
	c := dial(t, serve(t, Options{}))
	if r, err := search(c, "", ldap.ScopeBaseObject, "(objectClass=*)", 0); err != nil || r.Entries[0].GetAttributeValue("namingContexts") != BaseDN {
		t.Errorf("root DSE: %v, %v", r, err)
	}
	denied := func(who string) {
		t.Helper()
		if _, err := search(c, BaseDN, ldap.ScopeWholeSubtree, "(uid=alice)", 0); !ldap.IsErrorWithCode(err, ldap.LDAPResultInsufficientAccessRights) {
			t.Errorf("%s searches: %v", who, err)
		}
	}
	denied("nobody")
	if err := c.Bind(Users()[0].DN, Users()[0].Password); err != nil {
		t.Fatal(err)
	}
	denied("a user")
	if err := c.Bind(ServiceDN, ServicePassword); err != nil {
		t.Fatal(err)
	}
	if r, err := search(c, BaseDN, ldap.ScopeWholeSubtree, "(uid=alice)", 0); err != nil || len(r.Entries) != 1 {
		t.Errorf("the service account: %v, %v", r, err)
	}
	if err := c.Bind(ServiceDN, "wrong"); err == nil {
		t.Fatal("a wrong password was accepted")
	}
	denied("who failed to bind")
}

func TestSearch(t *testing.T) {
	c := dial(t, serve(t, Options{}))
	if err := c.Bind(ServiceDN, ServicePassword); err != nil {
		t.Fatal(err)
	}
	for _, q := range []struct {
		base   string
		scope  int
		filter string
		want   []string // first RDNs
	}{
		{BaseDN, ldap.ScopeWholeSubtree, "(uid=ALICE)", []string{"uid=alice"}},
		{BaseDN, ldap.ScopeWholeSubtree, "(|(uid=bob)(sAMAccountName=alice)(uid=alice))", []string{"uid=alice", "uid=bob"}},
		{BaseDN, ldap.ScopeWholeSubtree, "(&(objectClass=inetOrgPerson)(mail=bob@company.com))", []string{"uid=bob"}},
		{BaseDN, ldap.ScopeWholeSubtree, "(&(objectClass=inetOrgPerson)(!(memberOf=" + engineering + ")))", []string{"uid=bob", "uid=carol"}},
		{"OU=US," + BaseDN, ldap.ScopeWholeSubtree, "(uid=*)", []string{"uid=alice", "uid=carol", "uid=erin"}},
		{"OU=US," + BaseDN, ldap.ScopeBaseObject, "(objectClass=*)", []string{"ou=US"}},
		{BaseDN, ldap.ScopeSingleLevel, "(ou=*)", []string{"ou=Groups", "ou=UK", "ou=US"}},
		{BaseDN, ldap.ScopeSingleLevel, "(uid=*)", nil},
		{BaseDN, ldap.ScopeWholeSubtree, "(uid=al*)", nil}, // substrings are undefined, so is their opposite
		{BaseDN, ldap.ScopeWholeSubtree, "(!(uid=al*))", nil},
		{BaseDN, ldap.ScopeWholeSubtree, `(uid=\2a)`, nil},
	} {
		r, err := search(c, q.base, q.scope, q.filter, 0)
		if err != nil {
			t.Errorf("%s: %v", q.filter, err)
			continue
		}
		var got []string
		for _, e := range r.Entries {
			dn, err := ldap.ParseDN(e.DN)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, dn.RDNs[0].String())
		}
		slices.Sort(got)
		if !slices.Equal(got, q.want) {
			t.Errorf("%s below %s: got %q, want %q", q.filter, q.base, got, q.want)
		}
	}
	if _, err := search(c, "dc=other", ldap.ScopeWholeSubtree, "(uid=*)", 0); !ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
		t.Errorf("an unknown base: %v", err)
	}
	if r, err := search(c, BaseDN, ldap.ScopeWholeSubtree, "(uid=*)", 2); !ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) || len(r.Entries) != 2 {
		t.Errorf("size limit 2: %v", err)
	}
}

func TestSelectedAttributes(t *testing.T) {
	c := dial(t, serve(t, Options{}))
	if err := c.Bind(ServiceDN, ServicePassword); err != nil {
		t.Fatal(err)
	}
	for _, q := range []struct {
		ask  []string
		want map[string]bool
	}{
		{nil, map[string]bool{"uid": true, "memberOf": false}},
		{[]string{"MEMBEROF", "x"}, map[string]bool{"uid": false, "memberOf": true, "entryUUID": false}},
		{[]string{"*", "+"}, map[string]bool{"uid": true, "memberOf": true, "entryUUID": true}},
		{[]string{"1.1"}, map[string]bool{"uid": false, "memberOf": false}},
	} {
		r, err := search(c, BaseDN, ldap.ScopeWholeSubtree, "(uid=alice)", 0, q.ask...)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range q.want {
			if got := len(r.Entries[0].GetAttributeValues(name)) > 0; got != want {
				t.Errorf("asked for %q: %s is there: %v", q.ask, name, got)
			}
		}
	}
}

func TestReadOnly(t *testing.T) {
	c := dial(t, serve(t, Options{}))
	if err := c.Bind(ServiceDN, ServicePassword); err != nil {
		t.Fatal(err)
	}
	if err := c.Del(ldap.NewDelRequest(Users()[0].DN, nil)); !ldap.IsErrorWithCode(err, ldap.LDAPResultUnwillingToPerform) {
		t.Errorf("delete: %v", err)
	}
	if err := c.Add(ldap.NewAddRequest("uid=x,"+BaseDN, nil)); !ldap.IsErrorWithCode(err, ldap.LDAPResultUnwillingToPerform) {
		t.Errorf("add: %v", err)
	}
	change := ldap.NewModifyRequest(Users()[0].DN, nil)
	change.Replace("mail", []string{"x@company.com"})
	if err := c.Modify(change); !ldap.IsErrorWithCode(err, ldap.LDAPResultUnwillingToPerform) {
		t.Errorf("modify: %v", err)
	}
	if _, err := c.WhoAmI(nil); !ldap.IsErrorWithCode(err, ldap.LDAPResultProtocolError) {
		t.Errorf("extended operation: %v", err)
	}
}

// A client that keeps its connection, as pools do, neither holds Run up nor is still served.
func TestRunEndsWhileAClientStays(t *testing.T) {
	s, err := New(Options{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	c, quiet := dial(t, s), dial(t, s)
	for _, c := range []*ldap.Conn{c, quiet} {
		if err := c.Bind(ServiceDN, ServicePassword); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 3*farewell {
		t.Errorf("Run waited %s for a client that stays", took)
	}
	if again, err := net.Dial("tcp", s.Addr().String()); err == nil {
		_ = again.Close()
		t.Error("a connection was accepted after Run")
	}
	if _, err := search(c, BaseDN, ldap.ScopeWholeSubtree, "(uid=alice)", 0); err == nil {
		t.Error("a search was answered after Run")
	}
	for deadline := time.Now().Add(5 * time.Second); !c.IsClosing(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a request after Run did not end its connection")
		}
	}
	if err := quiet.Bind(ServiceDN, ServicePassword); err == nil {
		t.Error("a bind succeeded after Run")
	}
}

func TestAddressThatCannotBeUsed(t *testing.T) {
	taken := serve(t, Options{}).Addr().String()
	for _, address := range []string{taken, "127.0.0.1", "192.0.2.1:0"} {
		s, err := New(Options{Listen: address})
		if err == nil {
			t.Fatalf("%s was accepted as %s", address, s.Addr())
		}
		if !strings.Contains(err.Error(), address) {
			t.Errorf("the error does not name %s: %v", address, err)
		}
	}
}

func TestTLS(t *testing.T) {
	web := httptest.NewTLSServer(nil) // for its certificate
	web.Close()
	s := serve(t, Options{TLS: web.TLS})
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	c, err := ldap.DialURL("ldaps://"+s.Addr().String(), ldap.DialWithTLSConfig(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Bind(ServiceDN, ServicePassword); err != nil {
		t.Error(err)
	}
	plain := dial(t, s)
	plain.SetTimeout(time.Second)
	if err := plain.Bind(ServiceDN, ServicePassword); err == nil {
		t.Error("a bind in clear was accepted")
	}
}

// Identities end with their connections.
func TestForgets(t *testing.T) {
	s := serve(t, Options{})
	c := dial(t, s)
	if err := c.Bind(ServiceDN, ServicePassword); err != nil {
		t.Fatal(err)
	}
	if err := c.Unbind(); err != nil {
		t.Fatal(err)
	}
	bound := func() int {
		s.handlers.mu.Lock()
		defer s.handlers.mu.Unlock()
		return len(s.handlers.service)
	}
	for deadline := time.Now().Add(5 * time.Second); bound() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("an ended connection is still bound")
		}
	}
}

func TestUsers(t *testing.T) {
	tree, err := newTree()
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range Users() {
		dn, err := ldap.ParseDN(u.DN)
		if err != nil || !tree.authenticate(dn, u.Password) || len(u.Groups) == 0 || u.Note == "" {
			t.Errorf("%+v cannot be shown: %v", u, err)
			continue
		}
		if tree.find(&ldap.DN{RDNs: dn.RDNs[1:]}) == nil {
			t.Errorf("the entry above %s is missing", u.DN)
		}
	}
}
