package gtm

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

var testClient = netip.MustParseAddr("192.0.2.1")

// bigTable has one large set at big.c., and referrals with much glue at sub.c.
func bigTable(t testing.TB) *Table { return zoneTable(t, bigZone()) }

func bigZone() string {
	var b strings.Builder
	b.WriteString("c. 300 IN SOA ns.c. h.c. 1 3600 600 604800 60\nc. 300 NS ns.c.\nns.c. 300 A 192.0.2.53\nwww.c. 300 A 192.0.2.80\n")
	for i := range 60 {
		fmt.Fprintf(&b, "big.c. 300 A 192.0.2.%d\nmid.c. 300 SRV 1 1 %d h%d.c.\nh%d.c. 300 A 192.0.2.%d\n", i, i%3, i%3, i%3, i)
	}
	for i := range 40 {
		fmt.Fprintf(&b, "huge.c. 300 TXT %s%d\n", strings.Repeat("x", 250), i)
		fmt.Fprintf(&b, "sub.c. 300 NS ns%d.sub.c.\nns%d.sub.c. 300 A 192.0.2.%d\n", i%13, i%13, i)
	}
	for i := range 300 {
		fmt.Fprintf(&b, "max.c. 300 TXT %s%d\n", strings.Repeat("x", 240), i)
	}
	return b.String()
}

// exchange gives the answer to a packet as a message and as octets.
func exchange(t *testing.T, table *Table, pkt []byte, tcp bool) (*dns.Msg, []byte) {
	t.Helper()
	wire, _ := respond(table, unprobed(table), request{packet: pkt, client: testClient, tcp: tcp}, nil)
	if wire == nil {
		return nil, nil
	}
	m := new(dns.Msg)
	if err := m.Unpack(wire); err != nil {
		t.Fatalf("the answer %x: %v", wire, err)
	}
	return m, wire
}

func pack(t testing.TB, m *dns.Msg) []byte {
	t.Helper()
	pkt, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return pkt
}

// TestTruncation: what does not fit leaves an empty message with TC (and OPT); ADDITIONAL that
// is a courtesy is left out first; glue is not (RFC 9471).
func TestTruncation(t *testing.T) {
	table := bigTable(t)
	f := func(name string, typ uint16, edns uint16, tcp bool, answers int, tc bool, limit int) {
		t.Helper()
		q := new(dns.Msg).SetQuestion(name, typ)
		if edns > 0 {
			q.SetEdns0(edns, true)
		}
		m, wire := exchange(t, table, pack(t, q), tcp)
		if m.Truncated != tc || len(wire) > limit || len(m.Answer) != answers {
			t.Errorf("%s edns %d tcp %v: tc=%v, %d octets, %d answers; want %v, <= %d, %d",
				name, edns, tcp, m.Truncated, len(wire), len(m.Answer), tc, limit, answers)
		}
		if tc && len(m.Ns) > 0 {
			t.Errorf("%s: truncated with AUTHORITY %v", name, m.Ns)
		}
		opt := m.IsEdns0()
		if (opt != nil) != (edns > 0) {
			t.Fatalf("%s: OPT %v", name, opt)
		}
		if opt != nil && (opt.UDPSize() != udpSize || !opt.Do() || opt.Version() != 0) {
			t.Errorf("%s: OPT %v", name, opt)
		}
	}
	f("www.c.", dns.TypeA, 0, false, 1, false, 512)
	f("big.c.", dns.TypeA, 0, false, 0, true, 512)   // 60 records do not fit into 512
	f("big.c.", dns.TypeA, 600, false, 0, true, 600) // nor into what the client takes
	f("big.c.", dns.TypeA, 100, false, 0, true, 512) // less than 512 counts as 512
	f("big.c.", dns.TypeA, 4096, false, 60, false, 1232)
	f("huge.c.", dns.TypeTXT, 65535, false, 0, true, 1232) // 10 KB: never more than 1232 over UDP
	f("huge.c.", dns.TypeTXT, 0, true, 40, false, 65535)
	f("max.c.", dns.TypeTXT, 1232, true, 0, false, 65535) // above 64 KB: SERVFAIL even over TCP
	f("mid.c.", dns.TypeSRV, 0, false, 3, false, 512)     // SRV without its addresses fits
	f("x.sub.c.", dns.TypeA, 0, false, 0, true, 512)      // a referral without its glue is of no use
	f("x.sub.c.", dns.TypeA, 1232, false, 0, false, 1232)

	q := new(dns.Msg).SetQuestion("mid.c.", dns.TypeSRV)
	m, _ := exchange(t, table, pack(t, q), false)
	if len(m.Extra) != 0 {
		t.Errorf("ADDITIONAL was cut to %d records, want none", len(m.Extra))
	}
	m, _ = exchange(t, table, pack(t, q.SetEdns0(1232, false)), false)
	if len(m.Extra) != 61 {
		t.Errorf("ADDITIONAL has %d records, want 60 and OPT", len(m.Extra))
	}
	m, _ = exchange(t, table, pack(t, new(dns.Msg).SetQuestion("max.c.", dns.TypeTXT)), true)
	if m.Rcode != dns.RcodeServerFailure {
		t.Errorf("max.c. over TCP: %s", dns.RcodeToString[m.Rcode])
	}
}

// TestProtocol has the rows of headers, opcodes, classes, EDNS and malformed packets.
func TestProtocol(t *testing.T) {
	table := bigTable(t)
	f := func(what string, rcode int, change func(*dns.Msg)) *dns.Msg {
		t.Helper()
		q := new(dns.Msg).SetQuestion("wWw.c.", dns.TypeA)
		q.Id = 4711
		change(q)
		m, _ := exchange(t, table, pack(t, q), false)
		if m.Rcode != rcode || m.Id != 4711 || !m.Response || m.Opcode != q.Opcode || m.RecursionAvailable || m.AuthenticatedData {
			t.Errorf("%s: got %v, want rcode %s", what, m.MsgHdr.String(), dns.RcodeToString[rcode])
		}
		return m
	}
	m := f("plain", dns.RcodeSuccess, func(*dns.Msg) {})
	if m.Question[0].Name != "wWw.c." || m.Answer[0].Header().Name != "wWw.c." || !m.Authoritative || !m.RecursionDesired {
		t.Errorf("the case of the question is not kept: %v", m)
	}
	f("TC set", dns.RcodeSuccess, func(q *dns.Msg) { q.Truncated = true })
	f("AD set", dns.RcodeSuccess, func(q *dns.Msg) { q.AuthenticatedData = true })
	if m := f("CD set, RD clear", dns.RcodeSuccess, func(q *dns.Msg) { q.CheckingDisabled, q.RecursionDesired = true, false }); !m.CheckingDisabled || m.RecursionDesired {
		t.Errorf("CD and RD are not the query's: %v", m.MsgHdr.String())
	}
	for _, opcode := range []int{dns.OpcodeIQuery, dns.OpcodeStatus, 3, dns.OpcodeNotify, dns.OpcodeUpdate, 6, 15} {
		f(fmt.Sprint("opcode ", opcode), dns.RcodeNotImplemented, func(q *dns.Msg) { q.Opcode = opcode })
	}
	for _, class := range []uint16{dns.ClassCHAOS, dns.ClassHESIOD, dns.ClassANY, dns.ClassNONE, 77} {
		f(fmt.Sprint("class ", class), dns.RcodeRefused, func(q *dns.Msg) {
			q.Question[0] = dns.Question{Name: "version.bind.", Qtype: dns.TypeTXT, Qclass: class}
		})
	}
	f("class 0", dns.RcodeFormatError, func(q *dns.Msg) { q.Question[0].Qclass = 0 })
	for _, typ := range []uint16{dns.TypeAXFR, dns.TypeIXFR} {
		f("transfer", dns.RcodeRefused, func(q *dns.Msg) { q.Question[0].Qtype = typ })
	}
	f("no question", dns.RcodeFormatError, func(q *dns.Msg) { q.Question = nil })
	f("two questions", dns.RcodeFormatError, func(q *dns.Msg) { q.Question = append(q.Question, q.Question[0]) })
	f("two OPT", dns.RcodeFormatError, func(q *dns.Msg) { q.SetEdns0(1232, false).SetEdns0(1232, false) })
	f("OPT in the answer section", dns.RcodeFormatError, func(q *dns.Msg) {
		q.SetEdns0(1232, false)
		q.Answer, q.Extra = q.Extra, nil
	})
	f("OPT with an owner", dns.RcodeFormatError, func(q *dns.Msg) {
		q.SetEdns0(1232, false)
		q.Extra[0].Header().Name = "x."
	})
	m = f("EDNS version 1", dns.RcodeBadVers, func(q *dns.Msg) {
		q.SetEdns0(1232, false)
		q.IsEdns0().SetVersion(1)
	})
	if o := m.IsEdns0(); o == nil || o.Version() != 0 || o.UDPSize() != udpSize || len(m.Answer) != 0 {
		t.Errorf("BADVERS: %v", m)
	}
	f("unknown EDNS option", dns.RcodeSuccess, func(q *dns.Msg) {
		q.SetEdns0(1232, false)
		q.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_LOCAL{Code: 65001, Data: []byte("x")}}
	})
}

// TestMalformed has packets that no library would build.
func TestMalformed(t *testing.T) {
	table := bigTable(t)
	good := pack(t, new(dns.Msg).SetQuestion("www.c.", dns.TypeA))
	with := func(change func([]byte) []byte) []byte { return change(append([]byte(nil), good...)) }
	f := func(what string, rcode int, pkt []byte) {
		t.Helper()
		m, _ := exchange(t, table, pkt, false)
		switch {
		case rcode < 0 && m != nil:
			t.Errorf("%s: answered %v", what, m)
		case rcode >= 0 && (m == nil || m.Rcode != rcode):
			t.Errorf("%s: got %v, want %s", what, m, dns.RcodeToString[rcode])
		}
	}
	const silence = -1
	f("nothing", silence, nil)
	f("less than a header", silence, good[:11])
	f("a response", silence, with(func(p []byte) []byte { p[2] |= 0x80; return p }))
	f("a header alone", dns.RcodeFormatError, good[:12])
	f("a name cut off", dns.RcodeFormatError, good[:15])
	f("no class", dns.RcodeFormatError, good[:len(good)-1])
	f("a compression pointer", dns.RcodeFormatError, with(func(p []byte) []byte { p[12], p[13] = 0xc0, 12; return p }))
	f("a label type of 0x40", dns.RcodeFormatError, with(func(p []byte) []byte { p[12] = 0x43; return p }))
	f("octets after the end", dns.RcodeSuccess, with(func(p []byte) []byte { return append(p, "junk"...) }))
	f("more records than there are", dns.RcodeFormatError, with(func(p []byte) []byte { p[11] = 1; return p }))
	f("65535 of each", dns.RcodeFormatError, with(func(p []byte) []byte {
		binary.BigEndian.PutUint64(p[4:], 0x0001_ffff_ffff_ffff)
		return p
	}))
	f("a name of 256 octets", dns.RcodeFormatError, func() []byte {
		p := append([]byte(nil), good[:12]...)
		for range 5 {
			p = append(append(p, 50), strings.Repeat("a", 50)...)
		}
		return append(p, 0, 0, 1, 0, 1)
	}())
	opt := func(data ...byte) []byte {
		return with(func(p []byte) []byte {
			p[11] = 1
			p = append(p, 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, byte(len(data)))
			return append(p, data...)
		})
	}
	f("an empty OPT", dns.RcodeSuccess, opt())
	f("half an option", dns.RcodeFormatError, opt(0, 10, 0))
	f("an option longer than its record", dns.RcodeFormatError, opt(0, 10, 0, 9, 1))
	f("a record longer than the packet", dns.RcodeFormatError, opt()[:len(opt())-1])
}

// TestNoTable: until SetTable every good question is SERVFAIL.
func TestNoTable(t *testing.T) {
	m, _ := exchange(t, nil, pack(t, new(dns.Msg).SetQuestion("www.c.", dns.TypeA)), false)
	if m.Rcode != dns.RcodeServerFailure {
		t.Errorf("got %s", dns.RcodeToString[m.Rcode])
	}
}
