package storetest

import (
	"fmt"
	"strings"
	"testing"

	"switchpoint/broker"
)

// UnreadableLeases looks at launch leases of the users a to f, each of the desktop of that name, all changed at
// once: those of b, c and f cannot be read, and that of e was removed. last is the key of f, and first what
// the log has to say of b.
func UnreadableLeases(t *testing.T, s broker.LeaseStore, said fmt.Stringer, last, first string) {
	t.Helper()
	var users string
	var c broker.LeaseCursor
	for {
		list, next, err := s.LeasesAfter(t.Context(), c, 2)
		if err != nil {
			t.Fatal(err)
		}
		users += " "
		for _, l := range list {
			users += l.User
		}
		if c = next; len(list) < 2 {
			break
		}
	}
	if list, next, err := s.LeasesAfter(t.Context(), c, 2); users != " ad e" || c.Key != last || len(list) != 0 || next != c || err != nil {
		t.Errorf("copied%s, up to %+v, then %+v, %v", users, c, list, err)
	}
	for want, f := range map[string]broker.LeaseFilter{"ad": {}, "ade": {Removed: true}, "d": {Desktop: "d"}, "": {Desktop: "b"}} {
		list, err := s.Leases(t.Context(), f)
		got := ""
		for _, l := range list {
			got += l.User
		}
		if got != want || err != nil {
			t.Errorf("%+v lists %q, want %q: %v", f, got, want, err)
		}
	}
	if text := said.String(); strings.Count(text, "left out") != 5 || !strings.Contains(text, "count=3") || !strings.Contains(text, first) {
		t.Errorf("said: %s", text)
	}
	if n, err := s.RemoveLeases(t.Context(), broker.LeaseFilter{Desktop: "b"}, broker.LogRow{}); n != 1 || err != nil {
		t.Errorf("removed %d, %v", n, err)
	}
}
