package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// inAnswer completes "timed out ..." of a question.
const inAnswer stage = "waiting for the answer"

// udpSize is what we are ready to receive in one datagram: what crosses every link unfragmented
// (DNS flag day 2020).
const udpSize = 1232

// newQuestion reads a query, "NAME TYPE" or "NAME".
func newQuestion(query string) (dns.Question, error) {
	words := strings.Fields(query)
	if len(words) == 0 || len(words) > 2 {
		return dns.Question{}, fmt.Errorf("%q is no question of the form NAME TYPE", query)
	}
	q := dns.Question{Name: dns.CanonicalName(words[0]), Qtype: dns.TypeA, Qclass: dns.ClassINET}
	if _, ok := dns.IsDomainName(q.Name); !ok {
		return dns.Question{}, fmt.Errorf("%q is no domain name", words[0])
	}
	if len(words) == 2 {
		t, ok := dns.StringToType[strings.ToUpper(words[1])]
		if !ok || t == dns.TypeAXFR || t == dns.TypeIXFR || t == dns.TypeOPT || t == dns.TypeNone {
			return dns.Question{}, fmt.Errorf("%q is no record type that can be asked for", words[1])
		}
		q.Qtype = t
	}
	return q, nil
}

// asker is a compiled question with what its answer must contain.
type asker struct {
	dial     *dialer
	question dns.Question
	want     matcher
}

// newDNS is kind "dns": the question over UDP, over TCP when the answer is cut (RFC 7766).
func newDNS(m Monitor, d *dialer) (exchange, error) {
	q, err := newQuestion(m.Query)
	if err != nil {
		return nil, err
	}
	want, err := newMatcher(m.Receive)
	if err != nil {
		return nil, err
	}
	a := &asker{dial: d, question: q, want: want}
	return func(ctx context.Context, address string, r *Result) {
		answer := a.overUDP(ctx, address, r)
		if answer != nil && answer.Truncated {
			answer = a.overTCP(ctx, address, r)
		}
		if answer != nil {
			a.judge(answer, r)
		}
	}, nil
}

func (a *asker) overUDP(ctx context.Context, address string, r *Result) *dns.Msg {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		r.down("the address is no host:port: " + deepest(err))
		return nil
	}
	ip, ok := a.dial.firstAddress(ctx, host, r)
	if !ok {
		return nil
	}
	conn, err := a.dial.net.DialContext(ctx, "udp", net.JoinHostPort(ip.String(), port))
	if err != nil {
		r.fail(ctx, inConnect, err)
		return nil
	}
	defer conn.Close()
	if end, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(end)
	}
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	return a.converse(ctx, conn, r)
}

func (a *asker) overTCP(ctx context.Context, address string, r *Result) *dns.Msg {
	conn := a.dial.dial(ctx, address, r)
	if conn == nil {
		r.Reason = "the answer was cut, and over TCP: " + r.Reason
		return nil
	}
	defer conn.Close()
	answer := a.converse(ctx, conn, r)
	if answer == nil {
		r.Reason = "the answer was cut, and over TCP: " + r.Reason
	}
	return answer
}

// converse asks and waits for the answer to this very question; anything else is passed over, as
// anybody may send datagrams to us (RFC 5452 9.1).
func (a *asker) converse(ctx context.Context, conn net.Conn, r *Result) *dns.Msg {
	ask := &dns.Msg{MsgHdr: dns.MsgHdr{Id: dns.Id(), RecursionDesired: true}, Question: []dns.Question{a.question}}
	ask.SetEdns0(udpSize, false)
	talk := &dns.Conn{Conn: conn, UDPSize: udpSize}
	sent := time.Now()
	if err := talk.WriteMsg(ask); err != nil {
		r.fail(ctx, inSend, err)
		return nil
	}
	for {
		b, err := talk.ReadMsgHeader(nil)
		if err != nil && (errors.Is(err, dns.ErrShortRead) || errors.Is(err, dns.ErrBuf)) {
			continue // a datagram without a header
		}
		if err != nil {
			r.fail(ctx, inAnswer, err)
			return nil
		}
		r.TTFB = time.Since(sent)
		answer := new(dns.Msg)
		if err := answer.Unpack(b); err != nil {
			if !answerTo(ask, answer) {
				continue
			}
			r.keep(b)
			r.down("the answer is no DNS message: " + strings.TrimPrefix(err.Error(), "dns: "))
			return nil
		}
		if answerTo(ask, answer) && (len(answer.Question) == 0 || a.same(answer.Question[0])) {
			return answer
		}
	}
}

func answerTo(ask, answer *dns.Msg) bool { return answer.Id == ask.Id && answer.Response }

func (a *asker) same(q dns.Question) bool {
	return q.Qtype == a.question.Qtype && q.Qclass == a.question.Qclass && strings.EqualFold(q.Name, a.question.Name)
}

// judge makes an answer a result.
func (a *asker) judge(answer *dns.Msg, r *Result) {
	var text strings.Builder
	for _, rr := range answer.Answer {
		if text.Len() > bodyLimit {
			break
		}
		text.WriteString(strings.ReplaceAll(rr.String(), "\t", " "))
		text.WriteByte('\n')
	}
	records := []byte(text.String())
	r.keep(records)
	switch {
	case answer.Rcode != dns.RcodeSuccess:
		r.down("the server answered " + rcodeName(answer.Rcode))
	case !a.want.any() && len(records) == 0:
		r.down("NOERROR but there are no records, wanted " + a.want.name)
	case !a.want.in(records):
		r.down(fmt.Sprintf("NOERROR but the records are %s, wanted %s", show(records), a.want.name))
	case a.want.any():
		r.State, r.Reason = Up, fmt.Sprintf("NOERROR, %d records", len(answer.Answer))
	default:
		r.State, r.Reason = Up, "the records contain "+a.want.name
	}
}

func rcodeName(code int) string {
	if name, ok := dns.RcodeToString[code]; ok {
		return name
	}
	return fmt.Sprintf("the unknown code %d", code)
}
