package directory

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"switchpoint/internal/realserver"
)

func TestSlapdLookup(t *testing.T) {
	s := realserver.Slapd(t, realserver.SlapdOptions{LDIF: policyPeople + "\n" + people, PasswordPolicy: "cn=policy,dc=company,dc=com"})
	cfg := slapdConfig(t, s, s.URL)
	cfg.UserFilter = "(&(uid={user})(!(sn=One)))"
	c := newClient(t, cfg)
	everybody := cfg
	everybody.UserFilter = ""
	all := newClient(t, everybody)
	for user, want := range map[string]bool{"alice": true, "fresh": false} { // fresh has sn=One
		e, err := all.Search(t.Context(), user, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{e.ID, strings.ToUpper(e.ID)} {
			got, err := c.Lookup(t.Context(), id, []string{"sn"})
			if want && (err != nil || got.ID != e.ID || got.User != user || got.DN != e.DN || len(got.Attributes["sn"]) != 1) {
				t.Errorf("%s: %+v, %v", user, got, err)
			}
			if !want && !errors.Is(err, ErrNoUser) {
				t.Errorf("%s, whom the filter keeps out: %v", user, err)
			}
		}
	}
	locked, err := all.Search(t.Context(), "locked", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := all.Lookup(t.Context(), locked.ID, nil); !errors.Is(err, ErrNoUser) || !strings.Contains(err.Error(), "locked") {
		t.Errorf("a locked account: %v", err)
	}
	// By DN, for directories without ids; only below base_dn, and never by what is no id.
	if e, err := all.Lookup(t.Context(), "UID=alice,ou=US,dc=company,dc=com", nil); err == nil {
		t.Errorf("an entry that has an id was found by its DN: %+v", e)
	}
	if _, err := all.Lookup(t.Context(), "uid=gone,dc=company,dc=com", nil); !errors.Is(err, ErrNoUser) {
		t.Errorf("an entry that is not there any more: %v", err)
	}
	for _, id := range []string{"", "*", "cn=admin,dc=elsewhere", "dc=company,dc=com", "00000000-0000-0000-0000-000000000000",
		"*)(uid=alice", strings.Repeat("a", 36), "0000000000000-0000-0000-000000000000", strings.Repeat("dc=x,", 1000) + "dc=company,dc=com"} {
		if e, err := all.Lookup(t.Context(), id, nil); !errors.Is(err, ErrRefused) {
			t.Errorf("id %.40q: %+v, %v", id, e, err)
		}
	}
}

func TestUnusable(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	filetime := func(at time.Time) string { return fmt.Sprint((at.Unix() + 11_644_473_600) * 1e7) }
	for _, c := range []struct {
		name, value string
		ok          bool
	}{
		{"userAccountControl", "512", true}, {"USERACCOUNTCONTROL", "514", false}, {"userAccountControl", "junk", false},
		{"userAccountControl", "528", true}, {"msDS-User-Account-Control-Computed", "16", false}, {"msDS-User-Account-Control-Computed", "8388608", true},
		{"accountExpires", "0", true}, {"accountExpires", "9223372036854775807", true}, {"accountExpires", "x", false},
		{"accountExpires", filetime(now.Add(time.Second)), true}, {"accountExpires", filetime(now), false}, {"accountExpires", "1", false},
		{"pwdAccountLockedTime", "000001010000Z", false}, {"nsAccountLock", "TRUE", false}, {"nsAccountLock", "false", true},
		{"sn", "TRUE", true},
	} {
		e := Entry{Attributes: map[string][]string{c.name: {c.value}}}
		if why := e.unusable(now); (why == "") != c.ok {
			t.Errorf("%s=%s: %q", c.name, c.value, why)
		}
	}
}

func TestParseGUID(t *testing.T) {
	raw := [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	if got, ok := parseGUID(guid(raw)); !ok || got != raw {
		t.Errorf("%x, %v", got, ok)
	}
	for _, bad := range []string{"", guid(raw)[1:], guid(raw) + "0", strings.Replace(guid(raw), "-", "0", 1), strings.Replace(guid(raw), "0", "g", 1)} {
		if _, ok := parseGUID(bad); ok {
			t.Errorf("%q is taken for a UUID", bad)
		}
	}
}
