package gtm

import (
	"bytes"
	"encoding/hex"
	"testing"
	"time"

	"github.com/miekg/dns"

	"switchpoint/gtm/steer"
	"switchpoint/healthcheck"
	"switchpoint/internal/covers"
)

// TestRowEDNSSize: 1232 is advertised and the cap, whatever the client takes; less than 512
// counts as 512; DO comes back and the Z bits do not.
func TestRowEDNSSize(t *testing.T) {
	covers.Req(t, "GT8")
	rows(t, nil, func(t *testing.T, c caller) {
		for _, size := range []uint16{0, 100, 512, 600, 1232, 4096, 65535} {
			wire := c.send(pack(t, question("big.c.", dns.TypeA, edns(size))))
			m := unpack(t, wire)
			limit := max(512, min(int(size), 1232))
			fits := size >= 1232
			if o := m.IsEdns0(); o == nil || o.UDPSize() != 1232 || o.Version() != 0 || o.Do() {
				t.Errorf("size %d: OPT %v", size, o)
			}
			switch {
			case c.tcp() || fits:
				if len(m.Answer) != 60 || m.Truncated {
					t.Errorf("size %d: %d answers, tc=%v", size, len(m.Answer), m.Truncated)
				}
			case !m.Truncated || len(wire) > limit:
				t.Errorf("size %d: %d octets, tc=%v", size, len(wire), m.Truncated)
			}
		}
		m := c.ask(question("huge.c.", dns.TypeTXT, edns(65535)))
		if m.Truncated == c.tcp() {
			t.Errorf("10 KB for a client that takes 64 KB: tc=%v", m.Truncated)
		}
		q := question("www.c.", dns.TypeA, edns(1232))
		q.IsEdns0().Hdr.Ttl = 0xffff // DO and every Z bit
		if ttl := c.ask(q).IsEdns0().Hdr.Ttl; ttl != 0x8000 {
			t.Errorf("flags of OPT: %#x, want only DO", ttl)
		}
		if c.ask(question("www.c.", dns.TypeA)).IsEdns0() != nil {
			t.Error("OPT for a client without EDNS")
		}
		c.want("unknown option", dns.RcodeSuccess, question("www.c.", dns.TypeA, with(65001, 1, 2, 3), with(4711)))
	})
}

// TestRowTruncation: TC, all sections empty, OPT kept; the same question over TCP gets it all.
func TestRowTruncation(t *testing.T) {
	covers.Req(t, "GT8")
	rows(t, nil, func(t *testing.T, c caller) {
		for _, q := range []*dns.Msg{
			question("big.c.", dns.TypeA), question("big.c.", dns.TypeA, edns(512)), question("huge.c.", dns.TypeTXT, edns(4096)),
		} {
			m := c.want("too large", dns.RcodeSuccess, q)
			if c.tcp() {
				if m.Truncated || len(m.Answer) < 40 {
					t.Errorf("over TCP: tc=%v, %d answers", m.Truncated, len(m.Answer))
				}
				continue
			}
			opts := len(q.Extra)
			if !m.Truncated || !m.Authoritative || len(m.Answer)+len(m.Ns) > 0 || len(m.Extra) != opts || len(m.Question) != 1 {
				t.Errorf("truncated: %v", m)
			}
		}
	})
}

// TestRowBADVERS: version 0, nothing answered, cookie and NSID all the same.
func TestRowBADVERS(t *testing.T) {
	covers.Req(t, "GT8")
	rows(t, func(cfg *Config) { cfg.NSID = "ns-1" }, func(t *testing.T, c caller) {
		version := func(q *dns.Msg) { q.IsEdns0().SetVersion(1) }
		m := c.want("version 1", dns.RcodeBadVers, question("www.c.", dns.TypeA, edns(4096), version))
		if o := m.IsEdns0(); o == nil || o.Version() != 0 || o.UDPSize() != 1232 || len(m.Answer)+len(m.Ns) > 0 || m.Authoritative {
			t.Errorf("BADVERS: %v", m)
		}
		m = c.want("with options", dns.RcodeBadVers,
			question("www.c.", dns.TypeA, with(optionNSID), with(optionCookie, []byte("client01")...), version))
		if string(option(t, m, optionNSID)) != "ns-1" || len(option(t, m, optionCookie)) != 24 {
			t.Errorf("options of BADVERS: %v", m.IsEdns0())
		}
		c.want("options of another version may have another form", dns.RcodeBadVers,
			question("www.c.", dns.TypeA, with(optionCookie, 1), version))
	})
}

func TestRowTwoOPT(t *testing.T) {
	covers.Req(t, "GT8")
	rows(t, nil, func(t *testing.T, c caller) {
		m := c.want("two OPT", dns.RcodeFormatError, question("www.c.", dns.TypeA, edns(1232), edns(1232)))
		if len(m.Answer) > 0 || m.IsEdns0() == nil {
			t.Errorf("two OPT: %v", m)
		}
	})
}

// TestRowNSID: hidden without configuration; with one, only for clients that ask.
func TestRowNSID(t *testing.T) {
	covers.Req(t, "GT8")
	ask := question("www.c.", dns.TypeA, with(optionNSID))
	rows(t, nil, func(t *testing.T, c caller) {
		if got := option(t, c.ask(ask), optionNSID); got != nil {
			t.Errorf("NSID without configuration: %q", got)
		}
	})
	rows(t, func(cfg *Config) { cfg.NSID = "us-1 (Boston)" }, func(t *testing.T, c caller) {
		if got := option(t, c.ask(ask), optionNSID); string(got) != "us-1 (Boston)" {
			t.Errorf("NSID %q", got)
		}
		if got := option(t, c.ask(question("www.c.", dns.TypeA, edns(1232))), optionNSID); got != nil {
			t.Errorf("NSID without being asked: %q", got)
		}
	})
}

// TestRowChaosNames: who the server is and which version, hidden by default.
func TestRowChaosNames(t *testing.T) {
	covers.Req(t, "GT8", "SE3")
	chaos := func(name string, typ uint16) *dns.Msg {
		return question(name, typ, func(q *dns.Msg) { q.Question[0].Qclass = dns.ClassCHAOS })
	}
	names := []string{"id.server.", "hostname.bind.", "version.bind.", "version.server."}
	rows(t, nil, func(t *testing.T, c caller) {
		for _, name := range names {
			c.want(name+" hidden", dns.RcodeRefused, chaos(name, dns.TypeTXT))
		}
	})
	rows(t, func(cfg *Config) { cfg.NSID, cfg.Version = "us-1", "nine" }, func(t *testing.T, c caller) {
		for i, name := range names {
			m := c.want(name, dns.RcodeSuccess, chaos(name, dns.TypeTXT))
			want := "us-1"
			if i > 1 {
				want = "nine"
			}
			if len(m.Answer) != 1 || m.Answer[0].String() != name+"\t0\tCH\tTXT\t\""+want+"\"" {
				t.Errorf("%s: %v", name, m.Answer)
			}
		}
		if m := c.want("no address", dns.RcodeSuccess, chaos("id.server.", dns.TypeA)); len(m.Answer) != 0 {
			t.Errorf("A in class CH: %v", m.Answer)
		}
		c.want("another name", dns.RcodeRefused, chaos("authors.bind.", dns.TypeTXT))
		c.want("in class IN", dns.RcodeRefused, question("version.bind.", dns.TypeTXT))
	})
}

// TestRowExtendedErrors: 20 for what is not ours, 18 for what is not allowed, 21 for what is
// not done, and what the server did when all members are down.
func TestRowExtendedErrors(t *testing.T) {
	covers.Req(t, "GT8")
	rows(t, nil, func(t *testing.T, c caller) {
		f := func(what string, rcode, code int, q *dns.Msg) {
			t.Helper()
			if got := extended(c.want(what, rcode, q)); got != code {
				t.Errorf("%s: extended error %d, want %d", what, got, code)
			}
		}
		f("a zone of others", dns.RcodeRefused, 20, question("www.example.org.", dns.TypeA, edns(1232)))
		f("without EDNS", dns.RcodeRefused, -1, question("www.example.org.", dns.TypeA))
		f("a transfer", dns.RcodeRefused, 18, question("c.", dns.TypeAXFR, edns(1232)))
		f("an obsolete type", dns.RcodeNotImplemented, 21, question("c.", dns.TypeMAILB, edns(1232)))
		f("a good answer", dns.RcodeSuccess, -1, question("www.c.", dns.TypeA, edns(1232)))
		f("a steered answer", dns.RcodeSuccess, -1, question("apex.test.", dns.TypeA, edns(1232)))
	})
	rows(t, func(cfg *Config) { cfg.EDESynthesized = true }, func(t *testing.T, c caller) {
		if got := extended(c.ask(question("apex.test.", dns.TypeA, edns(1232)))); got != 29 {
			t.Errorf("a steered answer: extended error %d, want 29", got)
		}
	})
	for _, policy := range []string{steer.AllDownAll, steer.AllDownNoData, steer.AllDownServFail} {
		cfg := goodConfig()
		cfg.Names[0].AllDown = policy
		ans := resolve(compiled(t, cfg), func(healthcheck.Ref) healthcheck.Status {
			return healthcheck.Status{State: healthcheck.Down}
		}, Question{Name: "cb.company.com.", Type: typeA})
		if len(ans.Extended) != 1 || ans.Extended[0] != (ExtendedError{0, "all members are down, policy " + policy}) {
			t.Errorf("policy %s: %v", policy, ans.Extended)
		}
	}
}

// TestRowClientSubnet: a good option comes back with family, prefix and address as they were and
// the scope of the decision: 0 for zone data and where there is nothing. Every malformed one is
// FORMERR, and none is invented.
func TestRowClientSubnet(t *testing.T) {
	covers.Req(t, "GT8")
	rows(t, nil, func(t *testing.T, c caller) {
		steered := map[string]string{ // 10.2.0.0/16 is what tells clients apart
			"00011800c00002":   "00011801c00002", // 192.0.2.0/24: the upper half of all addresses
			"000118000a0203":   "000118100a0203", // 10.2.3.0/24 needs 16 bits
			"000108000a":       "0001080f0a",     // 10.0.0.0/8 holds clients of two kinds
			"00010000":         "00010000",       // 0.0.0.0/0: the client is not to be told
			"00000000":         "00000000",
			"0002200020010db8": "0002200020010db8", // no IPv6 prefix: all clients get the same
		}
		for good, scoped := range steered {
			for q, want := range map[string]string{"www.c.": good, "gone.c.": good, "big.c.": good, "apex.test.": scoped} {
				m := c.ask(question(q, dns.TypeA, with(optionSubnet, unhex(t, good)...)))
				if got := hex.EncodeToString(option(t, m, optionSubnet)); m.Rcode == dns.RcodeFormatError || got != want {
					t.Errorf("%s with %s: %s, want %s", q, good, got, want)
				}
			}
		}
		for _, bad := range []string{"00011818c00002", "00012100c000020100", "00031800c00002", "000107000b", "00011800c000", "00"} {
			m := c.want(bad, dns.RcodeFormatError, question("www.c.", dns.TypeA, with(optionSubnet, unhex(t, bad)...)))
			if option(t, m, optionSubnet) != nil || m.IsEdns0() == nil {
				t.Errorf("%s: %v", bad, m)
			}
		}
		if option(t, c.ask(question("www.c.", dns.TypeA, edns(1232))), optionSubnet) != nil {
			t.Error("an option that the client did not send")
		}
	})
}

// TestRowZoneVersion: the serial of the zone of the question, for clients that ask (RFC 9660).
func TestRowZoneVersion(t *testing.T) {
	covers.Req(t, "GT8")
	rows(t, func(cfg *Config) { cfg.Serial = 2026 }, func(t *testing.T, c caller) {
		f := func(name string, want []byte) {
			t.Helper()
			if got := option(t, c.ask(question(name, dns.TypeA, with(optionVersion))), optionVersion); !bytes.Equal(got, want) {
				t.Errorf("%s: %v, want %v", name, got, want)
			}
		}
		f("www.c.", []byte{1, 0, 0, 0, 0, 1})
		f("gone.c.", []byte{1, 0, 0, 0, 0, 1})
		f("apex.test.", []byte{2, 0, 0, 0, 2026 >> 8, 2026 & 255})
		f("www.example.org.", nil)
		if option(t, c.ask(question("www.c.", dns.TypeA, edns(1232))), optionVersion) != nil {
			t.Error("a version without being asked")
		}
	})
}

// TestRowKeepalive: the time-out is told over TCP to clients that ask, never over UDP, and a
// query that brings one is malformed (RFC 7828).
func TestRowKeepalive(t *testing.T) {
	covers.Req(t, "GT8")
	rows(t, func(cfg *Config) { cfg.TCP.Idle = 12300 * time.Millisecond }, func(t *testing.T, c caller) {
		m := c.want("asked", dns.RcodeSuccess, question("www.c.", dns.TypeA, with(optionKeepalive)))
		var want []byte
		wrong := dns.RcodeSuccess
		if c.tcp() {
			want, wrong = []byte{0, 123}, dns.RcodeFormatError
		}
		if got := option(t, m, optionKeepalive); !bytes.Equal(got, want) {
			t.Errorf("keepalive %v, want %v", got, want)
		}
		c.want("with a time-out", wrong, question("www.c.", dns.TypeA, with(optionKeepalive, 0, 9)))
		if option(t, c.ask(question("www.c.", dns.TypeA, edns(1232))), optionKeepalive) != nil {
			t.Error("keepalive without being asked")
		}
	})
}
