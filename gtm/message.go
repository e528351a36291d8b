package gtm

import (
	"errors"
	"net/netip"
	"strconv"

	"github.com/miekg/dns"

	"switchpoint/healthcheck"
)

// maxMessage is the largest DNS message (RFC 1035 section 4.2.2: a length of 16 bits).
const maxMessage = 65535

// request is a packet with what the server knows of its way here.
type request struct {
	packet []byte
	client netip.Addr
	tcp    bool
	draw   uint64
}

// outcome is what the metrics count of one packet.
type outcome struct {
	rcode      int
	truncated  bool
	name       string // steered name or zone
	datacenter string
}

// respond turns a packet into its answer, written over buf where that is large enough. A nil
// answer means silence. It is pure: everything that it depends on is in its arguments, and
// what it takes is bounded by the length of the packet and of the answer.
func respond(t *Table, snap *healthcheck.Snapshot, req request, buf []byte) ([]byte, outcome) {
	q, err := parseQuery(req.packet)
	if errors.Is(err, errNotAQuery) {
		return nil, outcome{}
	}
	var ans Answer
	switch {
	case q.opcode != opcodeQuery: // NOTIFY and UPDATE too: there is nothing here to change
		ans.Rcode = rcodeNotImp
	case err != nil || q.qclass == 0:
		ans.Rcode = rcodeFormErr
	case q.edns && q.version != 0: // RFC 6891 section 6.1.3
		ans.Rcode = rcodeBadVers
	default:
		ans = Resolve(t, snap, Question{Name: q.name, Type: q.qtype, Class: q.qclass, Client: req.client, Draw: req.draw})
	}
	out := outcome{rcode: ans.Rcode, name: ans.Reason.Name, datacenter: ans.Reason.Datacenter}
	if out.name == "" {
		out.name = ans.Reason.Zone
	}
	msg := reply(q, ans)
	limit := q.limit(req.tcp)
	wire, err := msg.PackBuffer(buf)
	if err == nil && len(wire) <= limit {
		return wire, out
	}
	if err == nil && !ans.ExtraNeeded { // ADDITIONAL is a courtesy: it goes first (RFC 2181 section 9)
		msg.Extra = optOnly(msg)
		if wire, err = msg.PackBuffer(buf); err == nil && len(wire) <= limit {
			return wire, out
		}
	}
	out.truncated = err == nil && !req.tcp
	if !out.truncated { // cannot be sent at all
		out.rcode, msg.Rcode, msg.Authoritative = rcodeServFail, rcodeServFail, false
	}
	msg.Truncated = out.truncated
	msg.Answer, msg.Ns, msg.Extra = nil, nil, optOnly(msg)
	if wire, err = msg.PackBuffer(buf); err != nil {
		return nil, out
	}
	return wire, out
}

// limit is the largest answer that the client takes this way.
func (q query) limit(tcp bool) int {
	switch {
	case tcp:
		return maxMessage
	case q.edns:
		return min(int(q.size), udpSize)
	}
	return plainSize
}

// reply builds the message: id, opcode, RD and CD are the query's own (RFC 1035 section 4.1.1,
// RFC 4035 section 3.2.2), and so is the question, in the client's own case.
func reply(q query, ans Answer) *dns.Msg {
	m := &dns.Msg{
		MsgHdr: dns.MsgHdr{
			Id: q.id, Response: true, Opcode: int(q.opcode), Rcode: ans.Rcode,
			Authoritative:    ans.Authoritative,
			RecursionDesired: q.flags&bitRD != 0, CheckingDisabled: q.flags&bitCD != 0,
		},
		Compress: true,
		Answer:   ans.Answer, Ns: ans.Ns,
	}
	if q.hasQuestion {
		m.Question = []dns.Question{{Name: q.name, Qtype: q.qtype, Qclass: q.qclass}}
	}
	if !q.edns {
		m.Extra = ans.Extra
		return m
	}
	// A new slice: Extra may belong to a zone, and packing writes the rcode into OPT.
	m.Extra = append(append(make([]dns.RR, 0, len(ans.Extra)+1), ans.Extra...), optRecord(q))
	return m
}

// optRecord answers EDNS: our version 0, our payload size, the client's DO bit (RFC 3225).
func optRecord(q query) *dns.OPT {
	o := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: typeOPT}}
	o.SetUDPSize(udpSize)
	if q.do {
		o.SetDo()
	}
	return o
}

// optOnly keeps of ADDITIONAL only the OPT record.
func optOnly(m *dns.Msg) []dns.RR {
	if o := m.IsEdns0(); o != nil {
		return []dns.RR{o}
	}
	return nil
}

// rcodeText names the codes that the server answers, for metrics and explanations.
func rcodeText(rcode int) string {
	if rcode == rcodeBadVers {
		return "BADVERS" // the library knows 16 by its other name, BADSIG
	}
	if s, ok := dns.RcodeToString[rcode]; ok {
		return s
	}
	return "RCODE" + strconv.Itoa(rcode)
}
