package broker_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/postgres"
	"switchpoint/directory"
	"switchpoint/internal/covers"
	"switchpoint/internal/realserver"
)

// TestOneLoginsExchanges: a login is one search and one bind at the directory and one round trip to the
// database, and a wrong password one bind (LD1, SE2).
func TestOneLoginsExchanges(t *testing.T) {
	covers.Req(t, "LD1")
	t.Parallel()
	const users = 100
	var ldif strings.Builder
	ldif.WriteString("dn: ou=UK,dc=company,dc=com\nobjectClass: organizationalUnit\nou: UK\n")
	for i := range users {
		fmt.Fprintf(&ldif, "\ndn: uid=user%d,ou=UK,dc=company,dc=com\nobjectClass: inetOrgPerson\nuid: user%d\ncn: U\nsn: U\nmail: user%d@company.com\nuserPassword: user%d-demo\n", i, i, i, i)
	}
	slapd := realserver.Slapd(t, realserver.SlapdOptions{LDIF: ldif.String(), NoTLS: true})
	db := realserver.Postgres(t, realserver.PostgresOptions{Settings: map[string]string{"fsync": "off"}})
	ldap := ldapExchanges(t, strings.TrimPrefix(slapd.URL, "ldap://"), slapd.AdminDN)
	dsn, err := url.Parse(db.DSN)
	if err != nil {
		t.Fatal(err)
	}
	sql := pgExchanges(t, dsn.Host)
	dsn.Host = sql.addr()
	store, err := postgres.Open(t.Context(), postgres.Options{URL: dsn.String(), MaxConns: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	b := newCluster(t).start(1, func(o *broker.Options) { o.Store = store })
	secret := filepath.Join(t.TempDir(), "bind")
	if err := os.WriteFile(secret, []byte(slapd.AdminPassword), 0o600); err != nil {
		t.Fatal(err)
	}
	b.fill(t, broker.Setup{
		Directories: []broker.Directory{{Config: directory.Config{
			Name: "corp", Servers: []string{"ldap://" + ldap.addr()}, BaseDN: slapd.Suffix, BindDN: slapd.AdminDN, BindPassword: "file:" + secret,
		}}},
		DesktopPools: []broker.DesktopPool{{Name: "floor", Kind: broker.KindPooled, Check: "none"}},
		Desktops:     []broker.Desktop{{Name: "floor-1", Pool: "floor", Host: "10.2.1.1"}},
		Policies:     []broker.Policy{{Name: "uk", Attribute: "mail", Match: "ends-with", Value: "@company.com", Pools: []string{"floor"}}},
	})
	b.mustLogin(t, "user0") // connections and statements are made

	ldap.figures()
	sql.figures()
	began := time.Now()
	trips := make([]int, users)
	for i := range users {
		b.mustLogin(t, fmt.Sprintf("user%d", i))
		trips[i] = sql.figures()[roundTrip]
	}
	took := time.Since(began)
	asked := ldap.figures()
	if asked[userSearch] != users || asked[userBind] != users || asked["other"] != 0 {
		t.Errorf("%d logins at the directory: %v", users, asked)
	}
	total := 0
	for _, n := range trips {
		total += n
	}
	// The broker's own beats and polls are a few a second.
	if own := 20 + int(10*took.Seconds()); total < users || total > users+own {
		t.Errorf("%d logins in %s: %d round trips to the database", users, took, total)
	}
	// They fall into some logins, the more the slower the machine is, but not into all.
	slices.Sort(trips)
	if trips[0] != 1 || trips[users/10] != 1 {
		t.Errorf("round trips of a login to the database: %v", trips)
	}
	t.Logf("%d logins in %s: %v, round trips of each to the database, the broker's own included: %v", users, took, asked, trips)

	for range 3 {
		if res := b.Login(t.Context(), login("user1", "wrong")); code(res.Refusal) != broker.CodeSignInFailed {
			t.Fatalf("%+v", res)
		}
	}
	if asked := ldap.figures(); asked[userSearch] != 3 || asked[userBind] != 3 {
		t.Errorf("3 logins with a wrong password: %v", asked)
	}
}
