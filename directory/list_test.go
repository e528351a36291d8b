package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"switchpoint/internal/covers"
	"switchpoint/internal/realserver"
)

// TestList reads more than one page, with ids, parents and values, and gives all or nothing.
func TestList(t *testing.T) {
	covers.Req(t, "LD2")
	var ldif strings.Builder
	ldif.WriteString("dn: ou=Desktops,dc=company,dc=com\nobjectClass: organizationalUnit\nou: Desktops\n")
	const entries = 2*pageSize + 3
	for i := range entries {
		fmt.Fprintf(&ldif, "\ndn: cn=pc-%04d,ou=Desktops,dc=company,dc=com\nobjectClass: device\ncn: pc-%04d\nserialNumber: a\nserialNumber: b\n", i, i)
	}
	s := realserver.Slapd(t, realserver.SlapdOptions{LDIF: ldif.String()})
	c := newClient(t, slapdConfig(t, s, s.URL))
	list, err := c.List(t.Context(), "", "(objectClass=device)", []string{"cn", "SerialNumber"})
	if err != nil || len(list) != entries {
		t.Fatalf("%d entries, %v", len(list), err)
	}
	seen := make(map[string]bool)
	for _, r := range list {
		if len(r.ID) != 36 || seen[r.ID] || r.Parent != "ou=Desktops,dc=company,dc=com" || len(r.Values("CN")) != 1 || len(r.Values("serialnumber")) != 2 || r.Values("sn") != nil {
			t.Fatalf("%+v", r)
		}
		seen[r.ID] = true
	}
	if list, err := c.List(t.Context(), "ou=nowhere,"+s.Suffix, "(cn=*)", nil); err == nil {
		t.Errorf("a base that does not exist: %d entries", len(list))
	}
	if _, err := c.List(t.Context(), "", "(cn=", nil); err == nil {
		t.Error("a filter that is none is accepted")
	}
	if list, err := c.List(t.Context(), "", "(cn=nobody)", nil); err != nil || len(list) != 0 {
		t.Errorf("%d entries, %v", len(list), err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.List(over, "", "(cn=*)", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	s.Stop()
	if _, err := c.List(t.Context(), "", "(cn=*)", nil); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a server that is down: %v", err)
	}
}

func TestParentOf(t *testing.T) {
	for dn, want := range map[string]string{
		"CN=pc,OU=a b,DC=x": "OU=a b,DC=x", `CN=p\,c,OU=a\,b`: `OU=a\,b`, "DC=x": "", "no dn": "", `a\`: "", "cn=x, ou=y": "ou=y", "": "",
	} {
		if got := parentOf(dn); got != want {
			t.Errorf("%q: %q, want %q", dn, got, want)
		}
	}
}
