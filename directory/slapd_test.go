package directory

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"switchpoint/internal/covers"
	"switchpoint/internal/realserver"
)

const people = `dn: ou=US,dc=company,dc=com
objectClass: organizationalUnit
ou: US

dn: ou=UK,dc=company,dc=com
objectClass: organizationalUnit
ou: UK

dn: uid=alice,ou=US,dc=company,dc=com
objectClass: inetOrgPerson
uid: alice
uid: al
cn: Alice
sn: Lee
mail: alice@company.com
userPassword: alice-secret

dn: uid=we*ird(1)\2C x,ou=UK,dc=company,dc=com
objectClass: inetOrgPerson
uid: we*ird(1), x
cn: Weird
sn: One
userPassword: weird-secret

dn: uid=twin,ou=US,dc=company,dc=com
objectClass: inetOrgPerson
uid: twin
cn: Twin
sn: US
userPassword: twin-secret

dn: uid=twin,ou=UK,dc=company,dc=com
objectClass: inetOrgPerson
uid: twin
cn: Twin
sn: UK
userPassword: twin-secret

dn: uid=nopassword,ou=UK,dc=company,dc=com
objectClass: inetOrgPerson
uid: nopassword
cn: No
sn: Password

dn: cn=staff,dc=company,dc=com
objectClass: groupOfNames
cn: staff
member: uid=alice,ou=US,dc=company,dc=com
`

func slapdConfig(t testing.TB, s *realserver.SlapdServer, url string) Config {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "bind")
	if err := os.WriteFile(secret, []byte(s.AdminPassword+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return Config{Name: "corp", Servers: []string{url}, BaseDN: s.Suffix, BindDN: s.AdminDN, BindPassword: "file:" + secret, Timeout: 2 * time.Second}
}

func TestSlapdLogins(t *testing.T) {
	covers.Req(t, "LD1", "LD2")
	s := realserver.Slapd(t, realserver.SlapdOptions{LDIF: people})
	c := newClient(t, slapdConfig(t, s, s.URL))
	for _, typed := range []string{"alice", "ALICE", `COMPANY\alice`, "alice@company.com"} {
		e, err := c.Authenticate(t.Context(), typed, "alice-secret", []string{"mail", "sn", "memberOf"})
		if err != nil {
			t.Fatalf("%s: %v", typed, err)
		}
		const dn = "uid=alice,ou=US,dc=company,dc=com"
		a := e.Attributes
		if e.User != "alice" || e.DN != dn || len(e.ID) != 36 || a["distinguishedName"][0] != dn ||
			a["mail"][0] != "alice@company.com" || a["sn"][0] != "Lee" || a["memberOf"][0] != "cn=staff,dc=company,dc=com" {
			t.Errorf("%s: %+v", typed, e)
		}
		if _, shown := a["userPassword"]; shown {
			t.Error("the entry holds the password")
		}
	}
	// OpenLDAP finds alice by these; each would have its own failures counted.
	for _, typed := range []string{"ａlice", "𝐚lice", `COMPANY\ａlice`} {
		if e, err := c.Authenticate(t.Context(), typed, "alice-secret", nil); !errors.Is(err, ErrNoUser) {
			t.Errorf("%s: %+v, %v", typed, e, err)
		}
	}
	// Every character that a filter or a DN would take for its own.
	if e, err := c.Authenticate(t.Context(), "we*ird(1), x", "weird-secret", nil); err != nil || e.User != "we*ird(1), x" {
		t.Errorf("a name with special characters: %+v, %v", e, err)
	}
}

func TestSlapdRefusals(t *testing.T) {
	s := realserver.Slapd(t, realserver.SlapdOptions{LDIF: people})
	c := newClient(t, slapdConfig(t, s, s.URL))
	for _, r := range []struct{ user, password, code string }{
		{"alice", "wrong", CodeWrongPassword},
		{"nobody", "alice-secret", CodeNoUser},
		{"twin", "twin-secret", CodeNoUser}, // which of the two?
		{"nopassword", "x", CodeWrongPassword},
		{"alice@uk.company.com", "alice-secret", CodeNoUser},
		{"*", "alice-secret", CodeNoUser},
		{"al*", "alice-secret", CodeNoUser},
		{"*)(uid=*", "alice-secret", CodeNoUser},
		{"alice)(objectClass=*", "alice-secret", CodeNoUser},
		{"alice)(|(uid=*", "alice-secret", CodeNoUser},
		{"{user}", "alice-secret", CodeNoUser},
		{"al\u200bice", "alice-secret", CodeNoUser},
		{`COMPANY\*`, "alice-secret", CodeNoUser},
		{`COMPANY\*)(uid=alice`, "alice-secret", CodeNoUser},
		{`*)(uid=alice\alice)(|`, "alice-secret", CodeNoUser},
		{"*@company.com", "alice-secret", CodeNoUser},
		{"alice)(uid=*@company.com", "alice-secret", CodeNoUser},
		{"alice@company.com)(uid=*", "alice-secret", CodeNoUser},
		{"uid=alice,ou=US,dc=company,dc=com", "alice-secret", CodeNoUser},
		{`\61lice`, "alice-secret", CodeNoUser},
		{"{upn}", "alice-secret", CodeNoUser},
		{"alice\x00", "alice-secret", CodeBadName},
		{"alice", "alice-secret\x00x", CodeWrongPassword},
		{"alice", "{CLEARTEXT}alice-secret", CodeWrongPassword},
	} {
		if _, err := c.Authenticate(t.Context(), r.user, r.password, nil); !errors.Is(err, &RefusedError{Code: r.code}) {
			t.Errorf("%s: got %v, want %s", r.user, err, r.code)
		}
	}
	if _, err := c.Authenticate(t.Context(), "alice", "alice-secret", nil); err != nil {
		t.Errorf("after the refusals: %v", err)
	}
}

// Fifty at once on few connections: everybody gets his own entry and nobody another's bind.
func TestSlapdConcurrentLogins(t *testing.T) {
	covers.Req(t, "LD1")
	var ldif strings.Builder
	ldif.WriteString("dn: ou=US,dc=company,dc=com\nobjectClass: organizationalUnit\nou: US\n")
	for i := range 50 {
		fmt.Fprintf(&ldif, "\ndn: uid=user%d,ou=US,dc=company,dc=com\nobjectClass: inetOrgPerson\nuid: user%d\ncn: U\nsn: U\nuserPassword: secret%d\n", i, i, i)
	}
	s := realserver.Slapd(t, realserver.SlapdOptions{LDIF: ldif.String()})
	cfg := slapdConfig(t, s, s.TLSURL)
	cfg.CA, cfg.MaxConns, cfg.Timeout = s.CAFile, 4, 10*time.Second
	c := newClient(t, cfg)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			user, password := fmt.Sprintf("user%d", i), fmt.Sprintf("secret%d", i)
			for range 4 {
				if e, err := c.Authenticate(t.Context(), user, password, nil); err != nil || e.User != user {
					t.Errorf("%s: %+v, %v", user, e, err)
				}
				if _, err := c.Authenticate(t.Context(), user, fmt.Sprintf("secret%d", i+1), nil); !errors.Is(err, ErrRefused) {
					t.Errorf("%s with another's password: %v", user, err)
				}
			}
		})
	}
	wg.Wait()
	for _, p := range []*pool{c.fleet.Load().servers[0].search, c.fleet.Load().servers[0].bind} {
		if idle, _ := p.size(); idle < 1 || idle > cfg.MaxConns {
			t.Errorf("%d idle connections afterwards, want 1 to %d", idle, cfg.MaxConns)
		}
	}
}

func TestSlapdKilledAndBack(t *testing.T) {
	s := realserver.Slapd(t, realserver.SlapdOptions{LDIF: people})
	c := newClient(t, slapdConfig(t, s, s.URL))
	login := func() error {
		_, err := c.Authenticate(t.Context(), "alice", "alice-secret", nil)
		return err
	}
	if err := login(); err != nil {
		t.Fatal(err)
	}
	// Restarted between two logins: the pooled connections are dead, the login does not notice.
	s.Stop()
	s.Start()
	if err := login(); err != nil {
		t.Fatalf("after a restart: %v", err)
	}
	s.Kill()
	if err := login(); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("killed: %v", err)
	}
	if err := c.Health(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Health of a killed server: %v", err)
	}
	s.Start()
	eventually(t, "Health knows without a login that the server is back", 10*time.Second, func() bool { return c.Health() == nil })
	if err := login(); err != nil {
		t.Fatalf("started again: %v", err)
	}
}

func TestSlapdPaused(t *testing.T) {
	s := realserver.Slapd(t, realserver.SlapdOptions{LDIF: people})
	cfg := slapdConfig(t, s, s.URL)
	cfg.Timeout = time.Minute // the caller's deadline is what ends it
	c := newClient(t, cfg)
	login := func(within time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		_, err := c.Authenticate(ctx, "alice", "alice-secret", nil)
		return err
	}
	if err := login(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	s.Pause()
	start := time.Now()
	err := login(300 * time.Millisecond)
	if took := time.Since(start); !errors.Is(err, ErrUnavailable) || took < 300*time.Millisecond || took > 3*time.Second {
		t.Errorf("paused: %v after %s, want ErrUnavailable at the deadline", err, took)
	}
	s.Resume()
	if err := login(10 * time.Second); err != nil {
		t.Errorf("resumed: %v", err)
	}
}

func TestSlapdTLS(t *testing.T) {
	covers.Req(t, "LD1")
	s := realserver.Slapd(t, realserver.SlapdOptions{LDIF: people})
	other := realserver.NewCA(t)
	for name, c := range map[string]struct {
		change func(*Config)
		want   string // part of the error; empty: it works
	}{
		"ldaps":               {func(c *Config) {}, ""},
		"starttls":            {func(c *Config) { c.Servers, c.StartTLS = []string{s.URL}, true }, ""},
		"server_name":         {func(c *Config) { c.Verify = "localhost" }, ""},
		"no_verify":           {func(c *Config) { c.CA, c.NoVerify = "", true }, ""},
		"ldaps wrong CA":      {func(c *Config) { c.CA = other.CertFile }, "certificate"},
		"starttls wrong CA":   {func(c *Config) { c.CA, c.Servers, c.StartTLS = other.CertFile, []string{s.URL}, true }, "certificate"},
		"ldaps system roots":  {func(c *Config) { c.CA = "" }, "certificate"},
		"wrong name":          {func(c *Config) { c.Verify = "ldap.company.com" }, "ldap.company.com"},
		"starttls wrong name": {func(c *Config) { c.Servers, c.StartTLS, c.Verify = []string{s.URL}, true, "x.company.com" }, "x.company.com"},
		"tls to a plain port": {func(c *Config) { c.Servers = []string{strings.Replace(s.URL, "ldap:", "ldaps:", 1)} }, "TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := slapdConfig(t, s, s.TLSURL)
			cfg.CA = s.CAFile
			c.change(&cfg)
			client := newClient(t, cfg)
			_, err := client.Authenticate(t.Context(), "alice", "alice-secret", nil)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want ErrUnavailable that says %q", err, c.want)
			}
		})
	}
}
