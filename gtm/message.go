package gtm

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"
	"time"

	"github.com/miekg/dns"

	"switchpoint/gtm/steer"
)

// maxMessage is the largest DNS message (RFC 1035 section 4.2.2: a length of 16 bits).
const maxMessage = 65535

// request is a packet with what the server knows of its way here.
type request struct {
	packet  []byte
	client  netip.Addr
	domain  string // of the client's computer, where it is known
	tcp     bool
	draw    uint64
	now     uint32         // seconds of the wall clock, for cookies
	uptime  time.Duration  // since the server started, for the limiter
	secrets []cookieSecret // used where the table has none
	limiter *limiter       // nil limits nothing
}

// respond turns a packet into its answer, written over buf where that is large enough. A nil
// answer means silence. Everything that it depends on is in its arguments, of which it changes
// only the limiter, and what it takes is bounded by the length of the packet and of the answer.
func respond(t *Table, view *steer.View, req request, buf []byte) ([]byte, outcome) {
	q, err := parseQuery(req.packet)
	if errors.Is(err, errNotAQuery) {
		return nil, outcome{}
	}
	set := t.settings()
	r := response{query: q, settings: set, tcp: req.tcp}
	r.takeSubnet(t, req.client)
	r.state, r.cookie = judgeCookie(set.cookieSecrets(req.secrets), q.options.cookie, req.client, req.now)
	limited := verdictPass
	if !req.tcp && r.state != cookieValid {
		limited = req.limiter.take(set.rrl, req.client, req.uptime)
	}
	if limited == verdictDrop {
		return nil, outcome{limited: limitedDrop}
	}
	ans, faulty := r.fault(err)
	var out outcome
	switch {
	case faulty: // the answer is no larger than a limited one
	case limited == verdictSlip && r.state != cookieNone:
		ans.Rcode, out.limited = rcodeBadCookie, limitedBadCookie
	case limited == verdictSlip:
		out.limited = limitedTC
	default:
		question := Question{Name: q.name, Type: q.qtype, Class: q.qclass, Client: req.client, Subnet: r.subnet, Draw: req.draw}
		if r.ecs == ecsNone { // the name of a resolver says nothing of its clients
			question.Domain = req.domain
		}
		ans = Resolve(t, view, question)
	}
	out.take(q, ans)
	out.ecs = r.ecs
	msg := r.message(ans)
	if out.limited == limitedTC {
		msg.Truncated = true
	}
	return r.pack(msg, ans.ExtraNeeded, buf, &out)
}

// What RRL does, as the metrics say it.
const (
	limitedDrop      = "drop"
	limitedTC        = "tc"
	limitedBadCookie = "badcookie"
)

// response is an answer under construction: what it takes from the query and the settings.
type response struct {
	query
	settings *protocol
	tcp      bool
	state    cookieState
	cookie   [cookieSize]byte
	subnet   netip.Prefix // of the client, where the query tells it and is to be believed
	ecs      string       // what became of the client subnet
}

// fault answers a query that says by itself that it cannot be resolved; err is that of
// parseQuery. ok is false where nothing is wrong.
func (r *response) fault(err error) (ans Answer, ok bool) {
	switch {
	case r.opcode != opcodeQuery: // NOTIFY and UPDATE too: there is nothing here to change
		ans.Rcode = rcodeNotImp
		ans.Extended = []ExtendedError{{Code: edeNotSupported}}
	case err != nil:
		ans.Rcode = rcodeFormErr
	case r.edns && r.version != 0: // RFC 6891 section 6.1.3
		ans.Rcode = rcodeBadVers
	case r.options.fault || r.tcp && r.options.badKeepalive:
		ans.Rcode = rcodeFormErr
	case !r.hasQuestion && r.state == cookieInvalid: // a client renews its cookie, RFC 7873 section 5.4
		ans.Rcode = rcodeBadCookie
	case !r.hasQuestion && r.state != cookieNone:
		ans.Rcode = rcodeNoError
	case !r.hasQuestion || r.qclass == 0:
		ans.Rcode = rcodeFormErr
	default:
		return ans, false
	}
	return ans, true
}

// pack writes the message so that it fits. The records of ADDITIONAL beyond the needed ones are
// a courtesy and go first (RFC 2181 section 9); after them everything but OPT, with TC set.
func (r *response) pack(msg *dns.Msg, needed int, buf []byte, out *outcome) ([]byte, outcome) {
	limit := r.limit(r.tcp)
	wire, err := msg.PackBuffer(buf)
	if err == nil && len(wire) <= limit {
		return wire, *out
	}
	opt := optOnly(msg)
	if err == nil && needed+len(opt) < len(msg.Extra) {
		msg.Extra = append(msg.Extra[:needed:needed], opt...)
		if wire, err = msg.PackBuffer(buf); err == nil && len(wire) <= limit {
			return wire, *out
		}
	}
	out.truncated = err == nil && !r.tcp
	if !out.truncated { // cannot be sent at all
		out.rcode, msg.Rcode, msg.Authoritative = rcodeServFail, rcodeServFail, false
	}
	msg.Truncated = out.truncated
	msg.Answer, msg.Ns, msg.Extra = nil, nil, opt
	if wire, err = msg.PackBuffer(buf); err != nil {
		return nil, *out
	}
	return wire, *out
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

// versionSerial is the kind of zone version that is the SOA serial (RFC 9660 section 3).
const versionSerial = 0

// message builds the answer: id, opcode, RD and CD are the query's own (RFC 1035 section 4.1.1,
// RFC 4035 section 3.2.2), and so is the question, in the client's own case.
func (r *response) message(ans Answer) *dns.Msg {
	m := &dns.Msg{
		MsgHdr: dns.MsgHdr{
			Id: r.id, Response: true, Opcode: int(r.opcode), Rcode: ans.Rcode,
			Authoritative:    ans.Authoritative,
			RecursionDesired: r.flags&bitRD != 0, CheckingDisabled: r.flags&bitCD != 0,
		},
		Compress: true,
		Answer:   ans.Answer, Ns: ans.Ns,
	}
	if r.hasQuestion {
		m.Question = []dns.Question{{Name: r.name, Qtype: r.qtype, Qclass: r.qclass}}
	}
	if !r.edns {
		m.Extra = ans.Extra
		return m
	}
	// A new slice: Extra may belong to a zone, and packing writes the rcode into OPT.
	m.Extra = append(append(make([]dns.RR, 0, len(ans.Extra)+1), ans.Extra...), r.opt(ans))
	return m
}

// opt answers EDNS: our version 0, our payload size, the client's DO bit (RFC 3225), and of the
// options those that the client sent or can use. All of them together stay below 200 octets,
// so that a truncated answer always fits.
func (r *response) opt(ans Answer) *dns.OPT {
	o := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: typeOPT}}
	o.SetUDPSize(udpSize)
	if r.do {
		o.SetDo()
	}
	add := func(code uint16, data []byte) {
		o.Option = append(o.Option, &dns.EDNS0_LOCAL{Code: code, Data: data})
	}
	if r.state != cookieNone {
		add(optionCookie, r.cookie[:])
	}
	if r.options.nsid && r.settings.nsid != "" {
		add(optionNSID, []byte(r.settings.nsid))
	}
	if r.tcp && r.options.keepalive {
		units := r.settings.tcp.idle / minIdle
		add(optionKeepalive, binary.BigEndian.AppendUint16(nil, uint16(min(units, 65535))))
	}
	if r.subnet.IsValid() && ans.Rcode != rcodeFormErr && ans.Rcode != rcodeBadVers {
		add(optionSubnet, r.scoped(ans.Scope))
	}
	if v := ans.Version; r.options.version && v.Known {
		add(optionVersion, binary.BigEndian.AppendUint32([]byte{v.Labels, versionSerial}, v.Serial))
	}
	for _, e := range ans.Extended {
		add(optionEDE, append(binary.BigEndian.AppendUint16(nil, e.Code), e.Text...))
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
