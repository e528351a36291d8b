package broker

import (
	"testing"
	"time"

	"switchpoint/directory"
	"switchpoint/healthcheck"
)

func TestDirectoryChecks(t *testing.T) {
	c := directory.Config{Servers: []string{"ldaps://dc1.company.com", "ldap://10.0.0.2:1389"}}
	if keys := directoryChecks(c); keys != nil {
		t.Errorf("without a monitor: %v", keys)
	}
	c.Monitor = "ldap"
	keys := directoryChecks(c)
	want := []healthcheck.Key{{Address: "dc1.company.com:636", Monitor: "ldap"}, {Address: "10.0.0.2:1389", Monitor: "ldap"}}
	if len(keys) != 2 || keys[0] != want[0] || keys[1] != want[1] {
		t.Errorf("%v, want %v", keys, want)
	}
}

func TestOutcomeOfDirectory(t *testing.T) {
	for _, c := range []struct {
		in   directory.Outcome
		want healthcheck.Traffic
	}{
		{directory.Outcome{Took: time.Second}, healthcheck.Answered},
		{directory.Outcome{Failed: true}, healthcheck.Reset},
		{directory.Outcome{Failed: true, TimedOut: true}, healthcheck.TimedOut},
	} {
		if got := outcomeOf(c.in); got.Traffic != c.want || got.Latency != c.in.Took {
			t.Errorf("%+v is %+v", c.in, got)
		}
	}
}
