package directory

import (
	"errors"
	"strings"
	"testing"

	"switchpoint/internal/covers"
	"switchpoint/internal/realserver"
)

// ukPeople are of another server, where the service account of the first is known too.
const ukPeople = `dn: dc=company,dc=com
objectClass: dcObject
objectClass: organization
dc: company
o: company

dn: cn=service,dc=company,dc=com
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: service
userPassword: service-secret

dn: dc=uk,dc=com
objectClass: dcObject
objectClass: organization
dc: uk
o: uk

dn: uid=bob,dc=uk,dc=com
objectClass: inetOrgPerson
uid: bob
cn: Bob
sn: Ray
userPassword: bob-secret

dn: cn=brits,dc=uk,dc=com
objectClass: groupOfNames
cn: brits
member: uid=bob,dc=uk,dc=com
`

// at names a server of the test by another name of this host, so that several can be told apart.
func at(url, host string) string { return strings.Replace(url, "127.0.0.1", host, 1) }

func TestSlapdReferrals(t *testing.T) {
	covers.Req(t, "LD1")
	home := realserver.Slapd(t, realserver.SlapdOptions{Suffix: "dc=com", LDIF: ukPeople})
	service, _, _ := strings.Cut(ukPeople, "dn: dc=uk")
	s := realserver.Slapd(t, realserver.SlapdOptions{LDIF: service, Referral: at(home.URL, "localhost")})
	cfg := slapdConfig(t, s, s.URL)
	t.Setenv("SWITCHPOINT_TEST_BIND", "service-secret")
	cfg.BaseDN, cfg.BindDN, cfg.BindPassword, cfg.Groups = "dc=uk,dc=com", "cn=service,dc=company,dc=com", "env:SWITCHPOINT_TEST_BIND", GroupsNested
	login := func(password string, referrals ...string) (Entry, error) {
		t.Helper()
		c := cfg
		c.Referrals = referrals
		return newClient(t, c).Authenticate(t.Context(), "bob", password, []string{memberOf})
	}
	for what, referrals := range map[string][]string{"none": nil, "another": {"ldap://127.0.0.1:1"}} {
		if _, err := login("bob-secret", referrals...); err == nil || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "localhost") {
			t.Errorf("a referral, configured is %s: %v", what, err)
		}
	}
	// The search is referred, and so its user signs in there.
	e, err := login("bob-secret", at(home.URL, "localhost"))
	if err != nil || e.DN != "uid=bob,dc=uk,dc=com" || len(e.Attributes[memberOf]) != 1 {
		t.Errorf("a configured one: %+v, %v", e, err)
	}
	if _, err := login("wrong", at(home.URL, "localhost")); !errors.Is(err, &RefusedError{Code: CodeWrongPassword}) {
		t.Errorf("a wrong password at the configured one: %v", err)
	}
}

func TestSlapdReferralLoop(t *testing.T) {
	covers.Req(t, "LD1")
	s := realserver.Slapd(t, realserver.SlapdOptions{LDIF: people, Referral: "ldap://localhost"})
	cfg := slapdConfig(t, s, s.URL)
	cfg.BaseDN, cfg.Referrals = "dc=uk,dc=com", []string{at(s.URL, "localhost")}
	c := newClient(t, cfg)
	if _, err := c.Search(t.Context(), "bob", nil); err == nil || !strings.Contains(err.Error(), "circle") || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrRefused) {
		t.Errorf("got %v", err)
	}
	if err := c.Health(); err != nil {
		t.Errorf("a server that refers counts as down: %v", err)
	}
}
