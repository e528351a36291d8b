package demodir

import (
	"bytes"
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// start runs a server for the length of the test.
func start(t *testing.T) *Server {
	t.Helper()
	s, err := New(Options{Listen: "127.0.0.1:0"})
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
	c := dial(t, start(t))
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
	c := dial(t, start(t))
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
	c := dial(t, start(t))
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
	c := dial(t, start(t))
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
	c := dial(t, start(t))
	if err := c.Bind(ServiceDN, ServicePassword); err != nil {
		t.Fatal(err)
	}
	if err := c.Del(ldap.NewDelRequest(Users()[0].DN, nil)); !ldap.IsErrorWithCode(err, ldap.LDAPResultUnwillingToPerform) {
		t.Errorf("delete: %v", err)
	}
	if err := c.Add(ldap.NewAddRequest("uid=x,"+BaseDN, nil)); !ldap.IsErrorWithCode(err, ldap.LDAPResultUnwillingToPerform) {
		t.Errorf("add: %v", err)
	}
	if _, err := c.WhoAmI(nil); !ldap.IsErrorWithCode(err, ldap.LDAPResultProtocolError) {
		t.Errorf("extended operation: %v", err)
	}
}

func TestStopEndsIdleConnections(t *testing.T) {
	s, err := New(Options{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	c := dial(t, s)
	if err := c.Bind(ServiceDN, ServicePassword); err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Run waits for a client that keeps its connection")
	}
	if _, err := New(Options{Listen: "127.0.0.1"}); err == nil {
		t.Error("an address without a port was accepted")
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

// Whatever a client sends, the session ends or answers.
func FuzzSession(f *testing.F) {
	add := func(op *ber.Packet) {
		p := envelope(1)
		p.AppendChild(op)
		f.Add(p.Bytes())
	}
	bind := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationBindRequest, nil, "")
	bind.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, 3, ""))
	bind.AppendChild(octets(ServiceDN))
	bind.AppendChild(ber.NewString(ber.ClassContext, ber.TypePrimitive, 0, ServicePassword, ""))
	add(bind)
	for _, filter := range []string{"(uid=alice)", "(&(|(uid=*)(a=b))(!(cn>=x)))"} {
		s := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchRequest, nil, "")
		s.AppendChild(octets(BaseDN))
		for _, n := range []int64{2, 0} {
			s.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, n, ""))
		}
		for _, n := range []int64{2, 0} {
			s.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, n, ""))
		}
		s.AppendChild(ber.NewBoolean(ber.ClassUniversal, ber.TypePrimitive, ber.TagBoolean, false, ""))
		packet, err := ldap.CompileFilter(filter)
		if err != nil {
			f.Fatal(err)
		}
		s.AppendChild(packet)
		s.AppendChild(ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, ""))
		add(s)
	}
	f.Add([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	tree, err := newTree()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		var answers bytes.Buffer
		s := &session{tree: tree, service: true} // the worst case: everything can be reached
		_ = s.serve(bytes.NewReader(sent), &answers, func() error { return nil })
		for answers.Len() > 0 {
			if _, err := ber.ReadPacket(&answers); err != nil {
				t.Fatalf("an answer that cannot be decoded: %v", err)
			}
		}
	})
}
