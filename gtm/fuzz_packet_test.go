package gtm

import (
	"encoding/binary"
	"testing"

	"github.com/miekg/dns"
)

// fuzzNSID is what the fuzzed server tells of itself.
const fuzzNSID = "fuzz-1"

func fuzzTable(t testing.TB) *Table {
	cfg := rowConfig(t)
	cfg.NSID, cfg.Version, cfg.EDESynthesized = fuzzNSID, "1", true
	return compiled(t, cfg)
}

// seedQueries are valid queries of every kind, with every option.
func seedQueries(t testing.TB) [][]byte {
	noQuestion := func(q *dns.Msg) { q.Question = nil }
	chaos := func(q *dns.Msg) { q.Question[0].Qclass = dns.ClassCHAOS }
	_, cookie := judgeCookie([]cookieSecret{{}}, clientPart, testClient, 1000)
	var out [][]byte
	for _, q := range []*dns.Msg{
		question("mid.c.", dns.TypeSRV), question("mid.c.", dns.TypeSRV, edns(4096)), question("x.sub.c.", dns.TypeANY),
		question("_connection_broker._tcp.company.com.", dns.TypeSRV, edns(1232), with(optionNSID), with(optionVersion)),
		question("huge.c.", dns.TypeTXT, edns(65535)), question("c00.c.", dns.TypeAAAA), question("a.wild.c.", dns.TypeA),
		question("apex.test.", dns.TypeA, with(optionSubnet, 0, 1, 24, 0, 192, 0, 2)),
		question("apex.test.", dns.TypeA, with(optionKeepalive), with(65001, 1, 2)),
		cookied(clientPart), cookied(cookie[:]), cookied(cookie[:], noQuestion), cookied(clientPart, noQuestion),
		question("id.server.", dns.TypeTXT, chaos), question("version.bind.", dns.TypeTXT, chaos),
		new(dns.Msg).SetUpdate("c."), new(dns.Msg).SetAxfr("c."), new(dns.Msg).SetNotify("c."),
		question("www.c.", dns.TypeA, edns(1232), edns(1232)),
	} {
		out = append(out, pack(t, q))
	}
	return append(out,
		[]byte{0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0xc0, 12, 0, 1, 0, 1},
		[]byte("\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x01\x02\\.\x00\x00\x01\x00\x01\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"))
}

// checkAnswer asks by a packet that may be anything, and checks what holds for every answer: it
// is a message, with the id of the query, as large as its way allows; over UDP, to a client
// whose address may be forged, an answer that says no is hardly larger than the question.
func checkAnswer(t *testing.T, table *Table, pkt []byte, tcp bool) {
	t.Helper()
	wire, out := respond(table, unprobed(table), request{
		packet: pkt, client: testClient, tcp: tcp, now: 1000, secrets: []cookieSecret{{}},
	}, nil)
	query := len(pkt) >= headerSize && pkt[2]&0x80 == 0
	if query != (wire != nil) {
		t.Fatalf("%x was answered by %x", pkt, wire)
	}
	if !query {
		return
	}
	m := new(dns.Msg)
	if err := m.Unpack(wire); err != nil {
		t.Fatalf("%x was answered by %x: %v", pkt, wire, err)
	}
	if m.Id != binary.BigEndian.Uint16(pkt) || !m.Response || m.Zero || m.RecursionAvailable || uint8(m.Opcode) != pkt[2]>>3 {
		t.Fatalf("%x: header %v", pkt, m.MsgHdr.String())
	}
	if tcp {
		return
	}
	limit := plainSize
	if m.IsEdns0() != nil {
		limit = udpSize
	}
	if m.Truncated || m.Rcode != rcodeNoError && m.Rcode != rcodeNXDomain && m.Rcode != dns.RcodeYXDomain {
		const ede, version = 4 + 2, 6
		limit = len(pkt) + serverCookie + len(fuzzNSID) + ede + version
	}
	if len(wire) > limit || out.truncated != m.Truncated {
		t.Fatalf("%x (%d octets) was answered by %d octets, at most %d: %v", pkt, len(pkt), len(wire), limit, m)
	}
}

// FuzzPacket sends any octets.
func FuzzPacket(f *testing.F) {
	for i, pkt := range seedQueries(f) {
		f.Add(pkt, i%3 == 0)
	}
	table := fuzzTable(f)
	f.Fuzz(func(t *testing.T, pkt []byte, tcp bool) { checkAnswer(t, table, pkt, tcp) })
}

// FuzzMutatedQuery changes valid queries a little, which gets deeper than any octets do: each
// four octets of edits are one change, of which kind, where (two octets) and to what.
func FuzzMutatedQuery(f *testing.F) {
	queries := seedQueries(f)
	for i := range queries {
		f.Add(uint8(i), []byte{0, 0, byte(12 + i), 0xc0}, false)
		f.Add(uint8(i), []byte{1, 0, 20, 0, 2, 0, 30, 9, 3, 0, 11, 0xff}, true)
	}
	table := fuzzTable(f)
	f.Fuzz(func(t *testing.T, which uint8, edits []byte, tcp bool) {
		pkt := append([]byte(nil), queries[int(which)%len(queries)]...)
		for ; len(edits) >= 4 && len(pkt) > 0; edits = edits[4:] {
			at := int(binary.BigEndian.Uint16(edits[1:])) % len(pkt)
			pkt = mutate(pkt, edits[0]%5, at, edits[3])
		}
		checkAnswer(t, table, pkt, tcp)
	})
}

// mutate makes one change: set, remove, insert, flip, or repeat what follows.
func mutate(pkt []byte, kind uint8, at int, value byte) []byte {
	rest := append([]byte(nil), pkt[at:]...)
	switch kind {
	case 0:
		pkt[at] = value
	case 1:
		return append(pkt[:at], rest[1:]...)
	case 2:
		return append(append(pkt[:at], value), rest...)
	case 3:
		pkt[at] ^= value
	default:
		if n := min(int(value), len(rest)); len(pkt)+n <= maxMessage {
			return append(append(pkt[:at+n], rest[:n]...), rest[n:]...)
		}
	}
	return pkt
}
