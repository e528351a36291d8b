package gtm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// maxReverseHops bounds a chain of aliases in an answer: parts of reverse zones are delegated by
// them (RFC 2317).
const maxReverseHops = 8

// maxReverseNames bounds how many names one address may have.
const maxReverseNames = 64

// reverseNames asks a name server for the names of an address: over UDP, and over TCP when that
// answer is cut. No name is a good answer, too; an error is a server that does not know.
func reverseNames(ctx context.Context, server string, timeout time.Duration, client netip.Addr) ([]string, error) {
	owner, err := dns.ReverseAddr(client.String())
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", client, err)
	}
	q := dns.Question{Name: owner, Qtype: dns.TypePTR, Qclass: dns.ClassINET}
	m, err := askServer(ctx, "udp", server, timeout, q)
	if err == nil && m.Truncated {
		m, err = askServer(ctx, "tcp", server, timeout, q)
	}
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", client, err)
	}
	switch m.Rcode {
	case dns.RcodeSuccess, dns.RcodeNameError:
		return pointers(m, owner), nil
	}
	return nil, fmt.Errorf("look up %s: %s answers %s", client, server, rcodeText(m.Rcode))
}

// askServer puts one question to one server, from a port of its own, and waits for the answer to
// this very question: anybody may send datagrams (RFC 5452 section 9.1).
func askServer(ctx context.Context, network, server string, timeout time.Duration, q dns.Question) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	end, _ := ctx.Deadline()
	if err := raw.SetDeadline(end); err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })()
	ask := &dns.Msg{MsgHdr: dns.MsgHdr{Id: dns.Id(), RecursionDesired: true}, Question: []dns.Question{q}}
	ask.SetEdns0(udpSize, false)
	conn := &dns.Conn{Conn: raw, UDPSize: udpSize}
	if err := conn.WriteMsg(ask); err != nil {
		return nil, err
	}
	for {
		m, err := conn.ReadMsg()
		var network net.Error
		switch {
		case err == nil && answers(m, ask.Id, q):
			return m, nil
		case err != nil && (errors.As(err, &network) || raw.RemoteAddr().Network() == "tcp"):
			return nil, err // the time is over, or the connection
		}
	}
}

func answers(m *dns.Msg, id uint16, q dns.Question) bool {
	return m.Response && m.Id == id && len(m.Question) == 1 && m.Question[0].Qtype == q.Qtype &&
		m.Question[0].Qclass == q.Qclass && strings.EqualFold(m.Question[0].Name, q.Name)
}

// pointers are the names that an answer has for an owner, sorted. Aliases are followed within the
// answer.
func pointers(m *dns.Msg, owner string) []string {
	for range maxReverseHops {
		var names []string
		alias := ""
		for _, rr := range m.Answer {
			if !strings.EqualFold(rr.Header().Name, owner) {
				continue
			}
			switch rr := rr.(type) {
			case *dns.PTR:
				if len(names) < maxReverseNames {
					names = append(names, strings.ToLower(strings.TrimSuffix(rr.Ptr, ".")))
				}
			case *dns.CNAME:
				alias = rr.Target
			}
		}
		if len(names) > 0 {
			slices.Sort(names)
			return names
		}
		if alias == "" {
			return nil
		}
		owner = alias
	}
	return nil
}
