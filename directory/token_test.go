package directory

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"switchpoint/internal/covers"
)

func TestSIDText(t *testing.T) {
	for raw, want := range map[string]string{
		"\x01\x05\x00\x00\x00\x00\x00\x05\x15\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\xff\xff\xff\xff\x01\x02\x00\x00": "S-1-5-21-1-2-4294967295-513",
		"\x01\x01\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00":                                                                 "S-1-1-0",
		"\x01\x00\x00\x01\x00\x00\x00\x00":                                                                                 "S-1-4294967296",
		"\x01\x02\x00":                                                                                                     "010200",
		"\x02\x01\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00":                                                                 "020100000000000100000000",
		"": "",
	} {
		if got := sidText([]byte(raw)); got != want {
			t.Errorf("%x: %s, want %s", raw, got, want)
		}
	}
	if got := escapeBytes([]byte("\x00*\xff")); got != `\00\2a\ff` {
		t.Error(got)
	}
}

func TestContext(t *testing.T) {
	f := &facts{contexts: []string{"DC=Configuration,DC=x", "dc=company, dc=com", "DC=com", "DC=uk,DC=company,DC=com", ""}}
	for dn, want := range map[string]string{
		"OU=People,DC=Company,DC=com": "dc=company, dc=com", "dc=company,dc=com": "dc=company, dc=com", "OU=x,DC=uk,DC=company,DC=com": "DC=uk,DC=company,DC=com",
		"o=elsewhere": "o=elsewhere", "xdc=company,dc=com": "DC=com",
	} {
		if got := f.context(dn); got != want {
			t.Errorf("%s: %s, want %s", dn, got, want)
		}
	}
	if got := (*facts)(nil).context("dc=x"); got != "dc=x" {
		t.Error(got)
	}
}

// sid number n of a made-up domain.
func sid(n int) string { return fmt.Sprintf("\x01\x01\x00\x00\x00\x00\x00\x05%c\x00\x00\x00", n) }

// adServer is a domain controller with one user and the groups of his token; it counts searches for
// groups.
func adServer(t *testing.T, token string, resolves *atomic.Int64) string {
	return fakeServer(t, func(id int64, op *ber.Packet) []byte {
		if op.Tag == ldap.ApplicationBindRequest {
			return message(id, resultOf(ldap.ApplicationBindResponse, 0, ""))
		}
		base, scope, attributes := searchOf(op)
		var out []byte
		switch {
		case scope < 0:
			return nil
		case base == "" && scope == ldap.ScopeBaseObject:
			out = message(id, entryOf("", "supportedCapabilities", capabilityAD, "namingContexts", "DC=company,DC=com"))
		case slices.Contains(attributes, "tokenGroups"):
			out = message(id, entryOf("CN=carol,DC=company,DC=com", "tokenGroups", token))
		case slices.Contains(attributes, "objectSid"):
			resolves.Add(1)
			if base != "DC=company,DC=com" {
				t.Errorf("groups are sought below %q", base)
			}
			out = message(id, entryOf("CN=known,DC=company,DC=com", "objectSid", sid(1)))
		case scope == ldap.ScopeBaseObject:
			out = message(id, entryOf("CN=carol,DC=company,DC=com", "memberOf", "CN=direct,DC=company,DC=com"))
		default:
			if slices.Contains(attributes, "memberOf") {
				t.Error("memberOf is read for nothing")
			}
			out = message(id, entryOf("CN=carol,DC=company,DC=com", "sAMAccountName", "carol"))
		}
		return append(out, done(id)...)
	})
}

// The names of groups are asked for once; a group that the directory does not tell has its SID.
func TestTokenGroups(t *testing.T) {
	covers.Req(t, "LD2")
	var resolves atomic.Int64
	cfg := fakeConfig(adServer(t, sid(1)+";"+sid(2), &resolves))
	cfg.BaseDN = "OU=People,DC=company,DC=com"
	c := newClient(t, cfg)
	eventually(t, "the server has told what it is", 10*time.Second, func() bool { return c.fleet.Load().servers[0].facts.Load() != nil })
	for range 3 {
		e, err := c.Authenticate(t.Context(), "carol", "x", []string{memberOf})
		if want := []string{"CN=known,DC=company,DC=com", "S-1-5-2"}; err != nil || !slices.Equal(e.Attributes[memberOf], want) {
			t.Errorf("%q, %v, want %q", e.Attributes[memberOf], err, want)
		}
	}
	if n := resolves.Load(); n != 1 {
		t.Errorf("%d searches for the names", n)
	}
}

// A service account that may not read tokenGroups is no reason to refuse everybody.
func TestNoTokenGroups(t *testing.T) {
	var resolves atomic.Int64
	cfg := fakeConfig(adServer(t, "", &resolves))
	cfg.Groups = GroupsToken
	e, err := newClient(t, cfg).Authenticate(t.Context(), "carol", "x", []string{memberOf})
	if err != nil || !slices.Equal(e.Attributes[memberOf], []string{"CN=direct,DC=company,DC=com"}) {
		t.Errorf("%q, %v", e.Attributes[memberOf], err)
	}
}

func TestTooManyGroups(t *testing.T) {
	var resolves atomic.Int64
	var token strings.Builder
	for range maxGroups + 1 {
		token.WriteString("x;")
	}
	cfg := fakeConfig(adServer(t, token.String(), &resolves))
	cfg.Groups, cfg.Timeout = GroupsToken, 20*time.Second
	c := newClient(t, cfg)
	if _, err := c.Authenticate(t.Context(), "carol", "x", []string{memberOf}); !errors.Is(err, errTooManyGroups) || errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if err := c.Health(); err != nil {
		t.Error(err)
	}
}

// A connection that has been idle for 300 s, or is old, serves no more.
func TestIdleConnectionsAreRecycled(t *testing.T) {
	covers.Req(t, "LD1")
	p := newProxy(t, demoServer(t))
	c, err := New(Options{Config: demoConfig(t, p.addr())})
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(c)
	login := func() {
		t.Helper()
		if _, err := c.Authenticate(t.Context(), "alice", "alice-demo", nil); err != nil {
			t.Fatal(err)
		}
	}
	login()
	login()
	if n := p.accepted.Load(); n != 2 {
		t.Fatalf("%d connections for two logins", n)
	}
	s := c.fleet.Load().servers[0]
	now := time.Now()
	s.reap(now.Add(DefaultIdle - time.Second))
	for _, pool := range []*pool{s.search, s.bind} {
		if idle, _ := pool.size(); idle != 1 {
			t.Fatalf("%d idle connections", idle)
		}
	}
	s.reap(now.Add(DefaultIdle + time.Second))
	if idle, _ := s.bind.size(); idle != 0 {
		t.Error("an idle connection was kept")
	}
	login()
	if n := p.accepted.Load(); n != 4 {
		t.Errorf("%d connections", n)
	}
	s.reap(now.Add(maxAge * 6 / 5))
	if idle, _ := s.search.size(); idle != 0 {
		t.Error("an old connection was kept")
	}
}
