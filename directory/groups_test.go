package directory

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"switchpoint/internal/covers"
	"switchpoint/internal/realserver"
)

// groupTree: alice is in staff; staff in all, all in world, world in all again; bob is in a
// posixGroup and a groupOfUniqueNames. Groups stand beside the users, not below base_dn.
const groupTree = `dn: ou=people,dc=company,dc=com
objectClass: organizationalUnit
ou: people

dn: ou=groups,dc=company,dc=com
objectClass: organizationalUnit
ou: groups

dn: uid=alice,ou=people,dc=company,dc=com
objectClass: inetOrgPerson
uid: alice
cn: Alice
sn: Lee
userPassword: alice-secret

dn: uid=bob,ou=people,dc=company,dc=com
objectClass: inetOrgPerson
uid: bob
cn: Bob
sn: Ray
userPassword: bob-secret

dn: uid=carol,ou=people,dc=company,dc=com
objectClass: inetOrgPerson
uid: carol
cn: Carol
sn: Day
userPassword: carol-secret

dn: cn=staff (us)\2C x,ou=groups,dc=company,dc=com
objectClass: groupOfNames
cn: staff (us), x
member: uid=alice,ou=people,dc=company,dc=com

dn: cn=all,ou=groups,dc=company,dc=com
objectClass: groupOfNames
cn: all
member: cn=staff (us)\2C x,ou=groups,dc=company,dc=com
member: cn=world,ou=groups,dc=company,dc=com

dn: cn=world,ou=groups,dc=company,dc=com
objectClass: groupOfNames
cn: world
member: cn=all,ou=groups,dc=company,dc=com

dn: cn=posix,ou=groups,dc=company,dc=com
objectClass: posixGroup
cn: posix
gidNumber: 1
memberUid: bob

dn: cn=unique,ou=groups,dc=company,dc=com
objectClass: groupOfUniqueNames
cn: unique
uniqueMember: cn=posix,ou=groups,dc=company,dc=com
`

// cns are the common names of the groups in memberOf, sorted.
func cns(t *testing.T, e Entry) []string {
	t.Helper()
	var out []string
	for _, dn := range e.Attributes[memberOf] {
		parsed, err := ldap.ParseDN(dn)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, parsed.RDNs[0].Attributes[0].Value)
	}
	slices.Sort(out)
	return out
}

func TestSlapdNestedGroups(t *testing.T) {
	covers.Req(t, "LD2")
	for _, overlay := range []bool{true, false} {
		s := realserver.Slapd(t, realserver.SlapdOptions{LDIF: groupTree, NoMemberOf: !overlay})
		cfg := slapdConfig(t, s, s.URL)
		cfg.BaseDN, cfg.Groups = "ou=people,"+s.Suffix, GroupsNested
		c := newClient(t, cfg)
		for user, want := range map[string][]string{
			"alice": {"all", "staff (us), x", "world"}, "bob": {"posix", "unique"}, "carol": nil,
		} {
			for _, what := range []string{"cold", "from memory"} {
				e, err := c.Authenticate(t.Context(), user, user+"-secret", []string{"MEMBEROF"})
				if err != nil || !slices.Equal(cns(t, e), want) {
					t.Errorf("overlay %v, %s, %s: %q, %v", overlay, user, what, cns(t, e), err)
				}
			}
			e, err := c.Authenticate(t.Context(), user, user+"-secret", []string{"cn"})
			if err != nil || e.Attributes[memberOf] != nil {
				t.Errorf("%s: groups that nobody asked for: %q, %v", user, e.Attributes[memberOf], err)
			}
			if _, err := c.Authenticate(t.Context(), user, "wrong", []string{memberOf}); !errors.Is(err, ErrRefused) {
				t.Errorf("%s with a wrong password: %v", user, err)
			}
		}
		cfg.Groups = "" // by what the root DSE says
		e, err := newClient(t, cfg).Search(t.Context(), "alice", []string{memberOf})
		if want := []string{"staff (us), x"}; overlay && (err != nil || !slices.Equal(cns(t, e), want)) {
			t.Errorf("direct groups: %q, %v", cns(t, e), err)
		}
	}
}

// chain makes a user in groups of which each is in the next.
func chain(levels int) string {
	var b strings.Builder
	b.WriteString(groupTree)
	below := "uid=carol,ou=people,dc=company,dc=com"
	for i := range levels {
		fmt.Fprintf(&b, "\ndn: cn=g%d,ou=groups,dc=company,dc=com\nobjectClass: groupOfNames\ncn: g%d\nmember: %s\n", i, i, below)
		below = fmt.Sprintf("cn=g%d,ou=groups,dc=company,dc=com", i)
	}
	return b.String()
}

func TestSlapdGroupLevelsAreBounded(t *testing.T) {
	for levels, ok := range map[int]bool{maxLevels: true, maxLevels + 1: false} {
		s := realserver.Slapd(t, realserver.SlapdOptions{LDIF: chain(levels), NoMemberOf: true})
		cfg := slapdConfig(t, s, s.URL)
		cfg.Groups = GroupsNested
		c := newClient(t, cfg)
		e, err := c.Search(t.Context(), "carol", []string{memberOf})
		if ok != (err == nil) || ok && len(e.Attributes[memberOf]) != levels || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrRefused) {
			t.Errorf("%d levels: %d groups, %v", levels, len(e.Attributes[memberOf]), err)
		}
		if err := c.Health(); err != nil {
			t.Errorf("the server counts as down: %v", err)
		}
	}
}

// crowd puts carol into many groups, each of which is in one of ten others.
func crowd(groups int, memberOfValues bool) string {
	var b strings.Builder
	base, _, _ := strings.Cut(groupTree, "dn: cn=staff")
	b.WriteString(strings.TrimSuffix(base, "\n"))
	if memberOfValues {
		for i := range groups {
			fmt.Fprintf(&b, "memberOf: cn=a group with a rather long name %05d,ou=groups,dc=company,dc=com\n", i)
		}
		return b.String()
	}
	for i := range groups {
		fmt.Fprintf(&b, "\ndn: cn=a group with a rather long name %05d,ou=groups,dc=company,dc=com\nobjectClass: groupOfNames\ncn: a group with a rather long name %05d\nmember: uid=carol,ou=people,dc=company,dc=com\n", i, i)
	}
	for i := range 10 {
		fmt.Fprintf(&b, "\ndn: cn=above %d,ou=groups,dc=company,dc=com\nobjectClass: groupOfNames\ncn: above %d\nmember: cn=a group with a rather long name %05d,ou=groups,dc=company,dc=com\n", i, i, i*(groups/10))
	}
	return b.String()
}

func TestSlapdTenThousandGroups(t *testing.T) {
	covers.Req(t, "LD2")
	const many = 10_000
	t.Run("memberOf", func(t *testing.T) {
		s := realserver.Slapd(t, realserver.SlapdOptions{LDIF: crowd(many, true)})
		c := newClient(t, slapdConfig(t, s, s.URL))
		e, err := c.Authenticate(t.Context(), "carol", "carol-secret", []string{memberOf})
		if err != nil || len(e.Attributes[memberOf]) != many {
			t.Errorf("%d groups, %v", len(e.Attributes[memberOf]), err)
		}
	})
	t.Run("nested", func(t *testing.T) {
		s := realserver.Slapd(t, realserver.SlapdOptions{LDIF: crowd(many, false), NoMemberOf: true})
		cfg := slapdConfig(t, s, s.URL)
		cfg.Groups, cfg.Timeout = GroupsNested, 30*time.Second
		c := newClient(t, cfg)
		for range 2 {
			e, err := c.Authenticate(t.Context(), "carol", "carol-secret", []string{memberOf})
			if err != nil || len(e.Attributes[memberOf]) != many+10 {
				t.Errorf("%d groups, %v", len(e.Attributes[memberOf]), err)
			}
		}
	})
}
