package directory

import (
	"reflect"
	"slices"
	"testing"

	"github.com/go-ldap/ldap/v3"
)

func TestNewEntryOpenLDAP(t *testing.T) {
	found := ldap.NewEntry("uid=Alice, OU=US,dc=company,dc=com", map[string][]string{
		"uid": {"other", "Alice"}, "entryUUID": {"5F1D0C3E-0000-4000-8000-000000000001"}, "memberOf": {"cn=a", "cn=b"},
	})
	e := newEntry(found, loginName{account: "ALICE"})
	if e.User != "alice" || e.ID != "5f1d0c3e-0000-4000-8000-000000000001" || e.DN != found.DN {
		t.Errorf("got %+v", e)
	}
	if !reflect.DeepEqual(e.Attributes["distinguishedName"], []string{found.DN}) || len(e.Attributes["memberOf"]) != 2 {
		t.Errorf("attributes are %v", e.Attributes)
	}
}

func TestNewEntryActiveDirectory(t *testing.T) {
	id := string([]byte{0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff})
	found := ldap.NewEntry("CN=Alice,OU=US,DC=company,DC=com", map[string][]string{
		"sAMAccountName": {"Alice.A"}, "uid": {"x"}, "objectGUID": {id}, "objectSid": {"\x01\x05\xff"},
		"distinguishedName": {"CN=Alice,OU=US,DC=company,DC=com"},
	})
	e := newEntry(found, loginName{account: "alice@company.com"})
	const want = "00112233-4455-6677-8899-aabbccddeeff"
	if e.User != "alice.a" || e.ID != want || e.Attributes["objectGUID"][0] != want || e.Attributes["objectSid"][0] != "0105ff" {
		t.Errorf("got %+v", e)
	}
}

func TestNewEntryWithoutID(t *testing.T) {
	a := newEntry(ldap.NewEntry("CN=Al\\2cice , OU=US", nil), loginName{account: "Bob"})
	b := newEntry(ldap.NewEntry("cn=Al\\,ice,ou=us", nil), loginName{account: "bob"})
	if a.ID == "" || a.ID != b.ID || a.User != "bob" {
		t.Errorf("equal DNs give %q and %q; user %q", a.ID, b.ID, a.User)
	}
}

func TestWanted(t *testing.T) {
	c := &Client{config: Config{Attributes: []string{"mail", "", "dn"}, Groups: GroupsMemberOf}}
	got := c.wanted(nil, []string{"MAIL", "MemberOf"})
	if want := append(append([]string{}, ownAttributes[:]...), "MAIL", "MemberOf", "dn"); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, mode := range []string{GroupsToken, GroupsNone} {
		c.config.Groups = mode
		if slices.Contains(c.wanted(nil, []string{"MemberOf"}), "MemberOf") {
			t.Errorf("groups = %q: memberOf is read all the same", mode)
		}
	}
}
