package gtm

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"switchpoint/internal/covers"
)

// texts gives records as text with single blanks.
func texts(rrs []dns.RR) []string {
	var out []string
	for _, rr := range rrs {
		if rr.Header().Rrtype != dns.TypeOPT {
			out = append(out, strings.Join(strings.Fields(rr.String()), " "))
		}
	}
	return out
}

// answers asks and compares response code and ANSWER, in any order.
func (c caller) answers(name string, typ uint16, rcode int, want ...string) *dns.Msg {
	c.t.Helper()
	m := c.want(name, rcode, question(name, typ, edns(4096)))
	got := texts(m.Answer)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		c.t.Errorf("%s %s: got %q, want %q", name, dns.Type(typ), got, want)
	}
	return m
}

// TestRowANY: one HINFO record instead of everything (RFC 8482).
func TestRowANY(t *testing.T) {
	covers.Req(t, "GT8", "SE3")
	rows(t, nil, func(t *testing.T, c caller) {
		for _, name := range []string{"big.c.", "huge.c.", "apex.test.", "c."} {
			if m := c.answers(name, dns.TypeANY, dns.RcodeSuccess, name+` 3600 IN HINFO "RFC8482" ""`); m.Truncated {
				t.Errorf("%s: truncated", name)
			}
		}
		c.answers("gone.c.", dns.TypeANY, dns.RcodeNameError)
	})
}

// TestRowNegativeTTL: the SOA in a negative answer has min(TTL, MINIMUM), here 300 and 60.
func TestRowNegativeTTL(t *testing.T) {
	covers.Req(t, "GT8")
	rows(t, nil, func(t *testing.T, c caller) {
		for name, rcode := range map[string]int{"gone.c.": dns.RcodeNameError, "www.c.": dns.RcodeSuccess} {
			m := c.want(name, rcode, question(name, dns.TypeMX))
			if got := texts(m.Ns); len(got) != 1 || got[0] != "c. 60 IN SOA ns.c. h.c. 1 3600 600 604800 60" {
				t.Errorf("%s: %q", name, got)
			}
		}
	})
}

// TestRowEmptyNonTerminal: a name that only has names below it exists; a wildcard stands in for
// what does not exist, and for nothing else (RFC 4592).
func TestRowEmptyNonTerminalAndWildcard(t *testing.T) {
	covers.Req(t, "GT8")
	rows(t, nil, func(t *testing.T, c caller) {
		c.answers("ent.c.", dns.TypeA, dns.RcodeSuccess)
		c.answers("deep.ent.c.", dns.TypeA, dns.RcodeSuccess, "deep.ent.c. 300 IN A 192.0.2.8")
		c.answers("x.ent.c.", dns.TypeA, dns.RcodeNameError)
		c.answers("a.b.wild.c.", dns.TypeA, dns.RcodeSuccess, "a.b.wild.c. 300 IN A 192.0.2.7")
		c.answers("a.wild.c.", dns.TypeMX, dns.RcodeSuccess)
		c.answers("wild.c.", dns.TypeA, dns.RcodeSuccess)
	})
}

// TestRowCase: question and owner come back in the client's own case, and the owner is the
// pointer 0xC00C to the question.
func TestRowCase(t *testing.T) {
	covers.Req(t, "GT8")
	rows(t, nil, func(t *testing.T, c caller) {
		for _, name := range []string{"wWw.C.", "WWW.c.", "aPEx.tEst.", "fEw.c.", "A.wIld.C."} {
			q := pack(t, question(name, dns.TypeA))
			wire := c.send(q)
			end := len(q) // an answer without OPT has the question of the same octets
			if !bytes.Equal(wire[12:end], q[12:]) || !bytes.Equal(wire[end:end+2], []byte{0xc0, 0x0c}) {
				t.Errorf("%s: %x", name, wire)
			}
			for _, rr := range unpack(t, wire).Answer {
				if rr.Header().Name != name {
					t.Errorf("%s: owner %s", name, rr.Header().Name)
				}
			}
		}
	})
}

// TestRowCompression: answers are compressed also where they would fit without.
func TestRowCompression(t *testing.T) {
	covers.Req(t, "GT8")
	rows(t, nil, func(t *testing.T, c caller) {
		// Header, question, then one SOA record: owner, type..length, two names, five numbers.
		const header, numbers = 12, 20
		size := header + len("\x03www\x01c\x00") + 4 + 2 + 10 + len("\x02ns") + 2 + len("\x01h") + 2 + numbers
		if got := len(c.send(pack(t, question("www.c.", dns.TypeMX)))); got != size {
			t.Errorf("NODATA has %d octets, want %d", got, size)
		}
	})
}

// TestRowSRVAdditional: the addresses of targets come along, for static and steered services;
// of steered ones only those that are healthy.
func TestRowSRVAdditional(t *testing.T) {
	covers.Req(t, "GT8")
	alive, err := net.Listen("tcp", "127.0.4.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Close()
	port := uint16(alive.Addr().(*net.TCPAddr).Port)
	cfg := rowConfig(t)
	cfg.Names[0].Monitor = "alive"
	cfg.Names[0].Pools = []Pool{{Datacenter: "us", Members: []Member{
		{Host: "one.company.com", Address: "127.0.4.1", Port: port}, {Host: "two.company.com", Address: "127.0.4.2", Port: port},
	}}}
	engine := startEngine(t, cfg.Checks())
	table, err := Compile(cfg, engine.Ref)
	if err != nil {
		t.Fatal(err)
	}
	s, addr := startServer(t, Options{Snapshot: engine.Snapshot, Subscribe: engine.Subscribe}, table)
	for _, network := range []string{"udp", "tcp"} {
		c := caller{t, network, addr, s}
		const service = "_connection_broker._tcp.company.com."
		var m *dns.Msg
		waitFor(t, "the dead member to go", func() bool {
			m = c.ask(question(service, dns.TypeSRV))
			return len(m.Answer) == 1
		})
		if got, want := texts(append(m.Answer, m.Extra...)), []string{
			fmt.Sprintf("%s 5 IN SRV 0 1 %d one.company.com.", service, port), "one.company.com. 5 IN A 127.0.4.1",
		}; !slices.Equal(got, want) {
			t.Errorf("steered: %q, want %q", got, want)
		}
		if m := c.ask(question("mid.c.", dns.TypeSRV, edns(4096))); len(m.Answer) != 3 || len(m.Extra) != 61 {
			t.Errorf("static: %d SRV, %d in ADDITIONAL", len(m.Answer), len(m.Extra))
		}
	}
}

// TestRowCNAMEChain: followed within the zones, at most 16 times, and never in a circle.
func TestRowCNAMEChain(t *testing.T) {
	covers.Req(t, "GT8")
	long := func(cfg *Config) {
		cfg.Zones[1].File = longChain(t, cfg.Zones[1].File)
	}
	rows(t, long, func(t *testing.T, c caller) {
		c.answers("c00.c.", dns.TypeA, dns.RcodeSuccess,
			"c00.c. 300 IN CNAME c01.c.", "c01.c. 300 IN CNAME c02.c.", "c02.c. 300 IN CNAME www.c.", "www.c. 300 IN A 192.0.2.80")
		c.answers("loop1.c.", dns.TypeA, dns.RcodeSuccess, "loop1.c. 300 IN CNAME loop2.c.", "loop2.c. 300 IN CNAME loop1.c.")
		c.answers("out.c.", dns.TypeA, dns.RcodeSuccess, "out.c. 300 IN CNAME www.example.net.")
		if m := c.want("16 aliases", dns.RcodeSuccess, question("l16.c.", dns.TypeA, edns(4096))); len(m.Answer) != 17 {
			t.Errorf("16 aliases: %d records", len(m.Answer))
		}
		if m := c.want("40 aliases", dns.RcodeSuccess, question("l40.c.", dns.TypeA, edns(4096))); len(m.Answer) != 17 {
			t.Errorf("40 aliases: %d records", len(m.Answer))
		}
	})
}

// TestRowGlue: a referral brings the addresses of servers within the delegated zone, or TC;
// those of sibling zones are left out first (RFC 9471).
func TestRowGlue(t *testing.T) {
	covers.Req(t, "GT8")
	rows(t, nil, func(t *testing.T, c caller) {
		m := c.ask(question("x.sub.c.", dns.TypeA, edns(4096)))
		if m.Authoritative || len(m.Answer) > 0 || len(m.Ns) != 13 || len(m.Extra) < 13 {
			t.Errorf("referral: %v", m)
		}
		m = c.ask(question("x.sub.c.", dns.TypeA))
		if m.Truncated == c.tcp() || m.Truncated && len(m.Ns)+len(m.Extra) > 0 {
			t.Errorf("without room for glue: %v", m)
		}
		m = c.ask(question("x.mixed.c.", dns.TypeA))
		if got, want := texts(m.Extra), []string{"ns.mixed.c. 300 IN A 192.0.2.61", "ns.other.c. 300 IN A 192.0.2.62"}; !slices.Equal(got, want) {
			t.Errorf("glue %q, want %q", got, want)
		}
	})
	// Room for the glue of the zone itself, but not for that of its sibling.
	var b strings.Builder
	b.WriteString(bigZone() + "m.c. 300 NS ns.m.c.\nns.m.c. 300 A 192.0.2.61\n")
	for i := range 12 {
		fmt.Fprintf(&b, "m.c. 300 NS n%02d.o.c.\nn%02d.o.c. 300 AAAA 2001:db8::%d\n", i, i, i)
	}
	m, wire := exchange(t, zoneTable(t, b.String()), pack(t, question("x.m.c.", dns.TypeA)), false)
	if m.Truncated || len(wire) > 512 || len(m.Ns) != 13 || !slices.Equal(texts(m.Extra), []string{"ns.m.c. 300 IN A 192.0.2.61"}) {
		t.Errorf("sibling glue without room: %d octets, %v", len(wire), m)
	}
}

// TestRowServiceBinding: HTTPS and SVCB (RFC 9460), alias mode too, and types without a name
// (RFC 3597).
func TestRowServiceBinding(t *testing.T) {
	covers.Req(t, "GT8")
	rows(t, nil, func(t *testing.T, c caller) {
		c.answers("svc.c.", dns.TypeHTTPS, dns.RcodeSuccess, `svc.c. 300 IN HTTPS 1 . alpn="h2" ipv4hint="192.0.2.80"`)
		c.answers("_foo.c.", dns.TypeSVCB, dns.RcodeSuccess, "_foo.c. 300 IN SVCB 0 www.c.")
		c.answers("odd.c.", 65534, dns.RcodeSuccess, `odd.c. 300 CLASS1 TYPE65534 \# 4 0a000001`)
	})
}

// TestRowApexAlias: a steered name at the apex of a zone needs no CNAME and hides neither SOA
// nor NS.
func TestRowApexAlias(t *testing.T) {
	covers.Req(t, "GT8")
	rows(t, nil, func(t *testing.T, c caller) {
		c.answers("apex.test.", dns.TypeA, dns.RcodeSuccess, "apex.test. 30 IN A 10.1.0.9")
		c.answers("apex.test.", dns.TypeAAAA, dns.RcodeSuccess, "apex.test. 30 IN AAAA 2001:db8::9")
		c.answers("apex.test.", dns.TypeNS, dns.RcodeSuccess, "apex.test. 3600 IN NS ns1.example.net.")
	})
}

// TestRowSOASerial: the serial of a zone without a file is that of the configuration; nothing
// else, and no health in particular, is in it.
func TestRowSOASerial(t *testing.T) {
	covers.Req(t, "GT8")
	rows(t, func(cfg *Config) { cfg.Serial = 1_700_000_000 }, func(t *testing.T, c caller) {
		soa := func(serial int) string {
			return fmt.Sprintf("apex.test. 3600 IN SOA ns1.example.net. hostmaster.apex.test. %d 3600 600 604800 60", serial)
		}
		old := c.server.table()
		c.answers("apex.test.", dns.TypeSOA, dns.RcodeSuccess, soa(1_700_000_000))
		cfg := rowConfig(t)
		cfg.Serial = 1_700_000_001
		c.server.SetTable(compiled(t, cfg))
		c.answers("apex.test.", dns.TypeSOA, dns.RcodeSuccess, soa(1_700_000_001))
		c.server.SetTable(old)
	})
}

// TestRowRRsetOrder: every order of a set of zone data comes up, equally often. Steered sets
// rotate instead (TestRotationIsUniform).
func TestRowRRsetOrder(t *testing.T) {
	covers.Req(t, "GT8")
	rows(t, nil, func(t *testing.T, c caller) {
		orders := map[string]int{}
		k, q := c.dial(), pack(t, question("few.c.", dns.TypeA))
		const asked = 1200
		for range asked {
			k.write(q)
			orders[strings.Join(texts(unpack(t, k.read()).Answer), ";")]++
		}
		for order, n := range orders {
			if n < asked/6/2 || n > asked/6*2 { // 10 standard deviations
				t.Errorf("%d times of %d: %s", n, asked, order)
			}
		}
		if len(orders) != 6 {
			t.Errorf("%d orders of three records, want 6", len(orders))
		}
	})
}
