package gtm

import (
	"net/netip"
	"strings"
	"testing"

	"switchpoint/healthcheck"
)

func TestNewQuestion(t *testing.T) {
	client := netip.MustParseAddr("::ffff:10.2.0.7")
	good := func(name, qtype, wantName string, wantType uint16) {
		t.Helper()
		q, err := NewQuestion(name, qtype, client)
		if err != nil || q.Name != wantName || q.Type != wantType || q.Client != netip.MustParseAddr("10.2.0.7") {
			t.Errorf("%s %s: got %+v, %v", name, qtype, q, err)
		}
	}
	good("cb.company.com", "a", "cb.company.com.", typeA)
	good("cb.company.com.", "SRV", "cb.company.com.", typeSRV)
	good(".", "type65", ".", 65)
	for _, bad := range [][2]string{{"", "A"}, {"a..b", "A"}, {"a", "AX"}, {"a", "TYPE"}, {"a", "TYPE65x"}, {"a", "TYPE65536"}, {"a", "65"}} {
		if q, err := NewQuestion(bad[0], bad[1], client); err == nil {
			t.Errorf("%q: accepted as %+v", bad, q)
		}
	}
}

// TestExplainText pins the text that a person gets for one steered answer.
func TestExplainText(t *testing.T) {
	table := demoTable(t)
	q, err := NewQuestion("cb.company.com", "A", netip.MustParseAddr("10.2.0.7"))
	if err != nil {
		t.Fatal(err)
	}
	ans := resolve(table, func(healthcheck.Ref) healthcheck.Status {
		return healthcheck.Status{State: healthcheck.Overloaded, Reason: "503", Load: healthcheck.Load{Active: 7, Capacity: 9}}
	}, q)
	got := strings.Join(append(ans.Reason.Lines(), ans.Lines()...), "\n")
	want := `zone:        company.com.
matched:     steered addresses
name:        cb.company.com.
client:      10.2.0.7 is in 10.2.0.0/16 ([[gtm.topology]])
scope:       10.2.0.0/16
order:       uk, us
policy:      round-robin in the pool, topology between pools
draw:        in uk: drawn 0.03 of: lb.uk.company.com 2/2
  + uk 10.2.0.1:443 lb.uk.company.com.: overloaded (503), 2 spare; chosen: none is up: the overloaded ones serve, by spare capacity
  - us 10.1.0.1:443 lb.us.company.com.: overloaded (503), 2 spare; serves, but the client has an earlier datacenter that serves (SRV: next priority)
datacenter:  uk
ttl:         5 s; ttl_min, because us is overloaded
rcode:       NOERROR
answer:      cb.company.com. 5 IN A 10.2.0.1`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
