package gtm

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/miekg/dns"

	"switchpoint/gtm/steer"
	"switchpoint/healthcheck"
	"switchpoint/internal/covers"
)

// TestTTL: the TTL of an answer lies in the range of its name and follows the earliest possible change
// of health, alike in every record of the answer; it is short after a failover. A negative answer is kept
// for the lesser of the SOA record's TTL and its MINIMUM (RFC 2308 section 5).
func TestTTL(t *testing.T) {
	covers.Req(t, "GT6")
	file := filepath.Join(t.TempDir(), "zone")
	zone := func(ttl, minimum string) {
		t.Helper()
		text := "@ " + ttl + " SOA ns. mail. 1 3600 600 86400 " + minimum + "\n@ 3600 NS ns.example.net.\nalias 900 CNAME cb\nhost 900 A 192.0.2.1\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg := goodConfig()
	cfg.Names[0].TTL, cfg.Names[0].TTLMin = 40*time.Second, 7*time.Second
	cfg.Zones = []Zone{{Origin: "company.com", File: file}, {Origin: "made.test", NS: []string{"ns1.example.net"}}}
	zone("600", "300")
	keys := cfg.Checks()
	ref := func(k healthcheck.Key) healthcheck.Ref {
		if k == keys[0] {
			return 0
		}
		return 1
	}
	table, err := Compile(cfg, ref)
	if err != nil {
		t.Fatal(err)
	}
	var health [2]healthcheck.Status
	set := func(us, uk time.Duration) {
		none := healthcheck.Load{Active: -1, Capacity: -1}
		health[0] = healthcheck.Status{State: healthcheck.Up, Steady: us, Load: none}
		health[1] = healthcheck.Status{State: healthcheck.Up, Steady: uk, Load: none}
	}
	now := time.Unix(1e9, 0)
	var view *steer.View
	direct := func(at time.Duration) {
		view = steer.Direct(table.steering, view, steer.Circumstances{
			Status: func(r healthcheck.Ref) healthcheck.Status { return health[r] }, Now: now.Add(at),
		})
	}
	want := func(name string, typ uint16, ttls ...uint32) {
		t.Helper()
		ans := Resolve(table, view, Question{Name: name, Type: typ, Client: netip.MustParseAddr("10.1.0.7")})
		var got []uint32
		for _, rrs := range [][]dns.RR{ans.Answer, ans.Ns, ans.Extra} {
			for _, rr := range rrs {
				got = append(got, rr.Header().Ttl)
			}
		}
		if len(got) != len(ttls) {
			t.Fatalf("%s: TTLs %v, want %v\n%s", name, got, ttls, ans.Reason)
		}
		for i := range got {
			if got[i] != ttls[i] {
				t.Errorf("%s: TTLs %v, want %v\n%s", name, got, ttls, ans.Reason)
				return
			}
		}
	}
	const service = "_connection_broker._tcp.company.com."
	for _, c := range []struct {
		us, uk time.Duration
		ttl    uint32
	}{{time.Hour, time.Hour, 40}, {25*time.Second + 999*time.Millisecond, time.Hour, 25}, {25 * time.Second, 12 * time.Second, 12}, {2 * time.Second, 12 * time.Second, 7}, {0, 0, 7}} {
		set(c.us, c.uk)
		direct(0)
		want("cb.company.com.", typeA, c.ttl)
		want("alias.company.com.", typeA, 900, c.ttl)
		want(service, typeSRV, c.ttl, c.ttl, c.ttl, c.ttl)
	}
	set(time.Hour, time.Hour)
	direct(0)
	health[0].State = healthcheck.Down
	direct(time.Second)
	want("cb.company.com.", typeA, 7)
	direct(61*time.Second - 1)
	want("cb.company.com.", typeA, 7)
	direct(61 * time.Second)
	want("cb.company.com.", typeA, 40)

	want("none.company.com.", typeA, 300) // NXDOMAIN, NODATA of a host, of a steered name, of a service
	want("host.company.com.", typeAAAA, 300)
	want("cb.company.com.", typeAAAA, 300)
	want("cb.company.com.", typeTXT, 300)
	want(service, typeA, 300)
	want("none.made.test.", typeA, synthMinimum)
	want("made.test.", typeA, synthMinimum)
	want("made.test.", dns.TypeSOA, synthTTL) // asked for it is kept for its own TTL
	want("company.com.", dns.TypeSOA, 600)

	zone("60", "300")
	if table, err = Compile(cfg, ref); err != nil {
		t.Fatal(err)
	}
	direct(time.Hour)
	want("none.company.com.", typeA, 60)
	want("cb.company.com.", typeAAAA, 60)
}
