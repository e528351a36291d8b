package directory

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"switchpoint/internal/covers"
	"switchpoint/internal/realserver"
)

// sambaTree: ann is in staff, staff in all, all in world and world in all again. The groups stand
// outside of base_dn.
const sambaTree = `dn: OU=People,$base
objectClass: organizationalUnit

dn: OU=Teams,$base
objectClass: organizationalUnit

dn: CN=staff (us)\, x,OU=Teams,$base
objectClass: group
sAMAccountName: staff
member: CN=ann,OU=People,$base

dn: CN=all,OU=Teams,$base
objectClass: group
sAMAccountName: all
member: CN=staff (us)\, x,OU=Teams,$base

dn: CN=world,OU=Teams,$base
objectClass: group
sAMAccountName: world
member: CN=all,OU=Teams,$base

dn: CN=all,OU=Teams,$base
changetype: modify
add: member
member: CN=world,OU=Teams,$base
`

// sambaConfig signs in as the administrator over LDAPS.
func sambaConfig(t testing.TB, s *realserver.SambaServer) Config {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "bind")
	if err := os.WriteFile(secret, []byte(s.AdminPassword+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return Config{Name: "corp", Servers: []string{s.TLSURL}, CA: s.CAFile, BaseDN: "OU=People," + s.BaseDN, BindDN: s.AdminUser,
		BindPassword: "file:" + secret, Timeout: 20 * time.Second}
}

// TestSamba is everything that only a domain controller does, on one, because it takes long to
// make.
func TestSamba(t *testing.T) {
	covers.Req(t, "LD1", "LD2")
	s := realserver.Samba(t, realserver.SambaOptions{})
	first, rest, _ := strings.Cut(sambaTree, "dn: CN=staff")
	s.Add(strings.ReplaceAll(first, "$base", s.BaseDN))
	for _, user := range []string{"ann", "disabled", "expired", "must", "aged", "hours", "station", "locked"} {
		s.Tool("user", "create", user, "Old-secret-1", "--userou=OU=People")
	}
	groups, change, _ := strings.Cut("dn: CN=staff"+rest, "dn: CN=all,OU=Teams,$base\nchangetype")
	s.Add(strings.ReplaceAll(groups, "$base", s.BaseDN))
	s.Ldb(strings.ReplaceAll("dn: CN=all,OU=Teams,$base\nchangetype"+change, "$base", s.BaseDN), "ldbmodify")
	s.Tool("user", "disable", "disabled")
	s.Ldb(fmt.Sprintf("dn: CN=must,OU=People,%[1]s\nchangetype: modify\nreplace: pwdLastSet\npwdLastSet: 0\n\n"+
		"dn: CN=expired,OU=People,%[1]s\nchangetype: modify\nreplace: accountExpires\naccountExpires: 132000000000000000\n\n"+
		"dn: CN=hours,OU=People,%[1]s\nchangetype: modify\nreplace: logonHours\nlogonHours:: AAAAAAAAAAAAAAAAAAAAAAAAAAAA\n\n"+
		"dn: CN=station,OU=People,%[1]s\nchangetype: modify\nreplace: userWorkstations\nuserWorkstations: ELSEWHERE\n", s.BaseDN), "ldbmodify")
	// DSDB_CONTROL_BYPASS_PASSWORD_HASH_OID: the server itself writes this attribute.
	s.Ldb("dn: CN=aged,OU=People,"+s.BaseDN+"\nchangetype: modify\nreplace: pwdLastSet\npwdLastSet: 132000000000000000\n", "ldbmodify",
		"--controls=local_oid:1.3.6.1.4.1.7165.4.3.12:0")
	s.Tool("domain", "passwordsettings", "set", "--account-lockout-threshold=3", "--min-pwd-age=0")

	c := newClient(t, sambaConfig(t, s))
	t.Run("names and codes", func(t *testing.T) { sambaCodes(t, c) })
	t.Run("groups", func(t *testing.T) { sambaGroups(t, s, c) })
	t.Run("lookup", func(t *testing.T) { sambaLookup(t, c) })
	t.Run("password", func(t *testing.T) { sambaPassword(t, c) })
	t.Run("discovery", func(t *testing.T) { sambaDiscovery(t, s) })
	t.Run("plain", func(t *testing.T) {
		cfg := sambaConfig(t, s)
		cfg.Servers, cfg.AllowPlain = []string{s.URL}, true
		if _, err := newClient(t, cfg).Authenticate(t.Context(), "ann", "Old-secret-1", nil); err == nil || errors.Is(err, ErrRefused) {
			t.Errorf("a password on a plain connection, which the server refuses: %v", err)
		}
	})
}

func sambaCodes(t *testing.T, c *Client) {
	for _, typed := range []string{"ann", `CORP\ann`, "ann@corp.example.test", "ANN"} {
		e, err := c.Authenticate(t.Context(), typed, "Old-secret-1", nil)
		if err != nil || e.User != "ann" || len(e.ID) != 36 {
			t.Errorf("%s: %+v, %v", typed, e, err)
		}
	}
	for _, r := range []struct{ user, password, code string }{
		{"ann", "wrong", "52e"}, {"nobody", "Old-secret-1", CodeNoUser}, {"*", "x", CodeNoUser}, {"ann)(cn=*", "x", CodeNoUser},
		{"disabled", "Old-secret-1", "533"}, {"disabled", "wrong", "52e"},
		{"expired", "Old-secret-1", "701"}, {"must", "Old-secret-1", CodePasswordMustChange}, {"must", "wrong", "52e"},
		{"aged", "Old-secret-1", CodePasswordExpired}, {"aged", "wrong", "52e"},
		{"hours", "Old-secret-1", "530"}, {"station", "Old-secret-1", "531"},
		{"locked", "wrong", "52e"}, {"locked", "wrong", "52e"}, {"locked", "wrong", "52e"}, {"locked", "Old-secret-1", codeLocked},
	} {
		if _, err := c.Authenticate(t.Context(), r.user, r.password, nil); refusal(err) != r.code {
			t.Errorf("%s with %s: %v, want %s", r.user, r.password, err, r.code)
		}
	}
}

func sambaGroups(t *testing.T, s *realserver.SambaServer, c *Client) {
	want := []string{"all", "staff (us), x", "world"}
	for _, what := range []string{"cold", "from memory"} {
		e, err := c.Authenticate(t.Context(), "ann", "Old-secret-1", []string{memberOf})
		got := cns(t, e)
		for _, w := range want {
			if !slices.Contains(got, w) {
				t.Errorf("%s: %q, %v, want %q among them", what, got, err, w)
			}
		}
		if !slices.Contains(got, "Domain Users") {
			t.Errorf("%s: the primary group is missing: %q", what, got)
		}
	}
	if _, err := c.Authenticate(t.Context(), "ann", "wrong", []string{memberOf}); refusal(err) != "52e" {
		t.Errorf("a wrong password: %v", err)
	}
	direct := sambaConfig(t, s)
	direct.Groups = GroupsMemberOf
	if e, err := newClient(t, direct).Search(t.Context(), "ann", []string{memberOf}); err != nil || !slices.Equal(cns(t, e), want[1:2]) {
		t.Errorf("direct groups: %q, %v", cns(t, e), err)
	}
	nested := sambaConfig(t, s)
	nested.Groups = GroupsNested
	if e, err := newClient(t, nested).Search(t.Context(), "ann", []string{memberOf}); err != nil || !slices.Equal(cns(t, e), want) {
		t.Errorf("level by level: %q, %v", cns(t, e), err)
	}
	// More entries than a page, and many groups.
	const many = 1_500
	var ldif strings.Builder
	for i := range many {
		fmt.Fprintf(&ldif, "dn: CN=many%04d,OU=Teams,%s\nobjectClass: group\nsAMAccountName: many%04d\nmember: CN=ann,OU=People,%s\n\n", i, s.BaseDN, i, s.BaseDN)
	}
	s.Add(ldif.String())
	list, err := c.List(t.Context(), "OU=Teams,"+s.BaseDN, "(objectClass=group)", []string{"cn"})
	if err != nil || len(list) != many+3 {
		t.Errorf("listed %d, %v", len(list), err)
	}
	for mode, client := range map[string]*Client{GroupsToken: c, GroupsMemberOf: newClient(t, direct)} {
		e, err := client.Authenticate(t.Context(), "ann", "Old-secret-1", []string{memberOf})
		if n := len(e.Attributes[memberOf]); err != nil || n < many {
			t.Errorf("%s: %d groups, %v", mode, n, err)
		}
	}
}

func sambaLookup(t *testing.T, c *Client) {
	for user, why := range map[string]string{"ann": "", "disabled": "disabled", "expired": "expired", "locked": "locked", "must": ""} {
		e, err := c.Search(t.Context(), user, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Lookup(t.Context(), e.ID, []string{memberOf})
		switch {
		case why == "" && (err != nil || got.User != user || len(got.Attributes[memberOf]) == 0):
			t.Errorf("%s: %s, %v", user, got.User, err)
		case why != "" && (!errors.Is(err, ErrNoUser) || !strings.Contains(err.Error(), why)):
			t.Errorf("%s: %v, want %s", user, err, why)
		}
	}
	if _, err := c.Lookup(t.Context(), "00000000-1111-2222-3333-444444444444", nil); !errors.Is(err, ErrNoUser) {
		t.Errorf("nobody's id: %v", err)
	}
}

func sambaPassword(t *testing.T, c *Client) {
	change := func(user, old, fresh, code string) {
		t.Helper()
		if err := c.ChangePassword(t.Context(), user, old, fresh); refusal(err) != code {
			t.Errorf("change of %s from %s to %s: %v, want %q", user, old, fresh, err, code)
		}
	}
	change("must", "wrong", "New-secret-2", CodeWrongPassword)
	change("must", "Old-secret-1", "short", CodePasswordPolicy)
	change("must", "Old-secret-1", "Old-secret-1", CodePasswordPolicy) // in the history
	change("must", "Old-secret-1", "Nöw-secret-2", "")
	if _, err := c.Authenticate(t.Context(), "must", "Nöw-secret-2", nil); err != nil {
		t.Errorf("with the new password: %v", err)
	}
	change("aged", "Old-secret-1", "New-secret-2", "")
	if _, err := c.Authenticate(t.Context(), "aged", "New-secret-2", nil); err != nil {
		t.Errorf("with the new password: %v", err)
	}
	change("ann", "Old-secret-1", "New-secret-2", "")
	if _, err := c.Authenticate(t.Context(), "ann", "New-secret-2", nil); err != nil {
		t.Errorf("with the new password: %v", err)
	}
	change("locked", "Old-secret-1", "New-secret-2", codeLocked)
	change("nobody", "Old-secret-1", "New-secret-2", CodeNoUser)
}

func sambaDiscovery(t *testing.T, s *realserver.SambaServer) {
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.DNS())
	}}
	for _, url := range []string{"ldaps+srv://corp.example.test", "ldap+srv://CORP.example.test."} {
		cfg := sambaConfig(t, s)
		cfg.Servers, cfg.StartTLS = []string{url}, strings.HasPrefix(url, "ldap+")
		c, err := New(Options{Config: cfg, Resolver: resolver})
		if err != nil {
			t.Fatal(err)
		}
		if len(cfg.Addresses()) != 0 || c.Health() == nil {
			t.Errorf("%s: servers before anybody asked", url)
		}
		runUntilEnd(t, c.Run)
		if _, err := c.Authenticate(t.Context(), "must", "Nöw-secret-2", nil); err != nil {
			t.Errorf("%s: %v", url, err)
		}
		if name := c.fleet.Load().servers[0].name; !strings.Contains(name, "://dc1.corp.example.test:") {
			t.Errorf("%s: %s", url, name)
		}
		cfg.Verify = "another.corp.example.test"
		wrong, err := New(Options{Config: cfg, Resolver: resolver})
		if err != nil {
			t.Fatal(err)
		}
		runUntilEnd(t, wrong.Run)
		if _, err := wrong.Authenticate(t.Context(), "must", "Nöw-secret-2", nil); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s with another server_name: %v", url, err)
		}
	}
}
