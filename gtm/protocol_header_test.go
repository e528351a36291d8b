package gtm

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"switchpoint/internal/covers"
)

// TestRowUnknownOpcode: every opcode but QUERY is NOTIMP, with question and OPT as they came.
func TestRowUnknownOpcode(t *testing.T) {
	covers.Req(t, "GT8")
	rows(t, nil, func(t *testing.T, c caller) {
		for _, opcode := range []int{dns.OpcodeIQuery, dns.OpcodeStatus, 3, 7, 15} {
			m := c.want(fmt.Sprint("opcode ", opcode), dns.RcodeNotImplemented,
				question("www.c.", dns.TypeA, edns(1232), func(q *dns.Msg) { q.Opcode = opcode }))
			if m.IsEdns0() == nil || len(m.Answer) > 0 || extended(m) != 21 {
				t.Errorf("opcode %d: %v", opcode, m)
			}
		}
	})
}

// TestRowDSO: a DNS stateful operation has no sections, but TLVs after the header (RFC 8490).
func TestRowDSO(t *testing.T) {
	covers.Req(t, "GT8")
	rows(t, nil, func(t *testing.T, c caller) {
		keepalive := []byte{0x12, 0x34, 6 << 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 8, 0, 0, 0x3a, 0x98, 0, 0, 0x3a, 0x98}
		if m := c.raw(keepalive); m.Rcode != dns.RcodeNotImplemented || m.Opcode != 6 || m.Id != 0x1234 {
			t.Errorf("DSO: %v", m)
		}
	})
}

// TestRowUpdateAndNotify: there is nothing to change here.
func TestRowUpdateAndNotify(t *testing.T) {
	covers.Req(t, "GT8", "SE3")
	rows(t, nil, func(t *testing.T, c caller) {
		update := new(dns.Msg).SetUpdate("c.")
		update.Insert([]dns.RR{addressRecord("new.c.", testClient, 60)})
		c.want("UPDATE", dns.RcodeNotImplemented, update)
		c.want("NOTIFY", dns.RcodeNotImplemented, new(dns.Msg).SetNotify("c."))
		c.want("the update changed nothing", dns.RcodeNameError, question("new.c.", dns.TypeA))
	})
}

// TestRowZoneTransfer: nobody gets a zone.
func TestRowZoneTransfer(t *testing.T) {
	covers.Req(t, "GT8", "SE3")
	rows(t, nil, func(t *testing.T, c caller) {
		for _, zone := range []string{"c.", "company.com.", "example.org."} {
			for _, q := range []*dns.Msg{new(dns.Msg).SetAxfr(zone), new(dns.Msg).SetIxfr(zone, 1, "ns.c.", "h.c.")} {
				if m := c.want(zone, dns.RcodeRefused, q); len(m.Answer)+len(m.Ns) > 0 {
					t.Errorf("%s: %v", zone, m)
				}
			}
		}
	})
}

// TestRowFlags: TC, AD and CD in a query change nothing; RD and CD come back; a response is
// dropped, and over TCP ends the connection.
func TestRowFlags(t *testing.T) {
	covers.Req(t, "GT8")
	rows(t, nil, func(t *testing.T, c caller) {
		m := c.want("TC and AD", dns.RcodeSuccess, question("www.c.", dns.TypeA, func(q *dns.Msg) {
			q.Truncated, q.AuthenticatedData, q.Zero, q.RecursionDesired = true, true, true, false
		}))
		if m.Truncated || m.RecursionDesired || len(m.Answer) != 1 {
			t.Errorf("TC and AD: %v", m)
		}
		m = c.want("CD", dns.RcodeSuccess, question("www.c.", dns.TypeA, func(q *dns.Msg) { q.CheckingDisabled = true }))
		if !m.CheckingDisabled || !m.RecursionDesired {
			t.Errorf("CD and RD: %v", m)
		}
		before := testutil.ToFloat64(c.server.metrics.ignored)
		k := c.dial()
		k.write(pack(t, question("www.c.", dns.TypeA, func(q *dns.Msg) { q.Response = true })))
		if c.tcp() {
			wantClosed(t, "after a response", k.conn)
		} else {
			k.write(pack(t, question("www.c.", dns.TypeA, func(q *dns.Msg) { q.Id = 77 })))
			if m := unpack(t, k.read()); m.Id != 77 {
				t.Errorf("a response was answered: %v", m)
			}
		}
		waitFor(t, "the response to be ignored", func() bool {
			return testutil.ToFloat64(c.server.metrics.ignored) == before+1
		})
	})
}

// TestRowQDCOUNT: no question and two are FORMERR (RFC 9619).
func TestRowQDCOUNT(t *testing.T) {
	covers.Req(t, "GT8")
	rows(t, nil, func(t *testing.T, c caller) {
		c.want("none", dns.RcodeFormatError, question("www.c.", dns.TypeA, func(q *dns.Msg) { q.Question = nil }))
		c.want("none, with OPT", dns.RcodeFormatError, question("www.c.", dns.TypeA, edns(1232), func(q *dns.Msg) { q.Question = nil }))
		c.want("two", dns.RcodeFormatError, question("www.c.", dns.TypeA, func(q *dns.Msg) { q.Question = append(q.Question, q.Question[0]) }))
		p := pack(t, question("www.c.", dns.TypeA))
		binary.BigEndian.PutUint16(p[4:], 65535)
		if m := c.raw(p); m.Rcode != dns.RcodeFormatError {
			t.Errorf("65535: %v", m)
		}
	})
}

// TestRowMalformedName: pointers in the question, reserved label types, names that are cut off
// or too long.
func TestRowMalformedName(t *testing.T) {
	covers.Req(t, "GT8")
	good := pack(t, question("www.c.", dns.TypeA))
	ask := func(name ...byte) []byte {
		return append(append(append([]byte(nil), good[:12]...), name...), 0, 1, 0, 1)
	}
	long := func(labels int) []byte {
		var name []byte
		for range labels {
			name = append(append(name, 49), strings.Repeat("a", 49)...)
		}
		return ask(append(name, 0)...)
	}
	rows(t, nil, func(t *testing.T, c caller) {
		for what, pkt := range map[string][]byte{
			"a pointer to itself":       ask(0xc0, 12),
			"a pointer into the header": ask(0xc0, 0),
			"a pointer behind a label":  ask(3, 'w', 'w', 'w', 0xc0, 12),
			"two pointers in a ring":    ask(0xc0, 14, 0xc0, 12),
			"a pointer beyond the end":  ask(0xff, 0xff),
			"label type 0x40":           ask(0x41, 1, 0),
			"label type 0x80":           ask(0x81, 1, 0),
			"a label beyond the end":    ask(63, 'w'),
			"cut within the name":       good[:15],
			"cut before the type":       good[:len(good)-4],
			"cut within the class":      good[:len(good)-1],
			"300 octets":                long(6),
			"only a header":             good[:12],
		} {
			if m := c.raw(pkt); m.Rcode != dns.RcodeFormatError || len(m.Answer) > 0 || m.Id != binary.BigEndian.Uint16(good) {
				t.Errorf("%s: %v", what, m)
			}
		}
		if m := c.raw(long(5)); m.Rcode != dns.RcodeRefused {
			t.Errorf("251 octets: %v", m)
		}
		c.want("the server goes on", dns.RcodeSuccess, question("www.c.", dns.TypeA))
	})
}

func TestRowTrailingOctets(t *testing.T) {
	covers.Req(t, "GT8")
	rows(t, nil, func(t *testing.T, c caller) {
		for _, q := range []*dns.Msg{question("www.c.", dns.TypeA), question("www.c.", dns.TypeA, edns(1232))} {
			if m := c.raw(append(pack(t, q), "trailing"...)); m.Rcode != dns.RcodeSuccess || len(m.Answer) != 1 {
				t.Errorf("octets after the end: %v", m)
			}
		}
	})
}

// TestRowClass: HS, NONE, ANY and unknown classes are refused, and 0 is no class.
func TestRowClass(t *testing.T) {
	covers.Req(t, "GT8")
	rows(t, nil, func(t *testing.T, c caller) {
		class := func(class uint16) *dns.Msg {
			return question("www.c.", dns.TypeA, func(q *dns.Msg) { q.Question[0].Qclass = class })
		}
		for _, n := range []uint16{dns.ClassCHAOS, dns.ClassHESIOD, dns.ClassANY, dns.ClassNONE, 77} {
			if m := c.want(fmt.Sprint("class ", n), dns.RcodeRefused, class(n)); m.Authoritative {
				t.Errorf("class %d: AA", n)
			}
		}
		c.want("class 0", dns.RcodeFormatError, class(0))
	})
}
