package gtm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"
)

// SystemResolvers reads the resolvers of this host.
func SystemResolvers() ([]string, error) {
	cfg, err := dns.ClientConfigFromFile("/etc/resolv.conf")
	if err != nil {
		return nil, fmt.Errorf("read the system's resolvers: %w", err)
	}
	var out []string
	for _, s := range cfg.Servers {
		out = append(out, net.JoinHostPort(s, cfg.Port))
	}
	return out, nil
}

// at is where a name server listens.
func (c *verification) at(a netip.Addr) string {
	port := c.Port
	if port == 0 {
		port = 53
	}
	return netip.AddrPortFrom(a, port).String()
}

// resolve asks the resolvers in turn until one answers.
func (c *verification) resolve(ctx context.Context, name string, typ uint16) (*dns.Msg, error) {
	var failed error
	for _, r := range c.Resolvers {
		m, err := c.ask(ctx, r, "udp", name, typ, true)
		if err == nil && (m.Rcode == dns.RcodeSuccess || m.Rcode == dns.RcodeNameError) {
			return m, nil
		}
		if err == nil {
			err = fmt.Errorf("%s answers %s for %s", r, rcodeText(m.Rcode), trim(name))
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}

// addresses asks the resolvers for the addresses of a host.
func (c *verification) addresses(ctx context.Context, host string) []netip.Addr {
	for _, r := range c.Resolvers {
		if out := c.addressesAt(ctx, r, host, true); len(out) > 0 {
			return out
		}
	}
	return nil
}

func (c *verification) addressesAt(ctx context.Context, server, host string, recursive bool) []netip.Addr {
	var out []netip.Addr
	for _, typ := range []uint16{typeA, typeAAAA} {
		if m, err := c.ask(ctx, server, "udp", host, typ, recursive); err == nil {
			for _, rr := range m.Answer { // behind an alias too: some resolvers accept what RFC 2181 forbids
				if a, ok := addressOf(rr); ok {
					out = append(out, a)
				}
			}
		}
	}
	return out
}

// ask puts one question to one server. What gets no answer over UDP is asked once more, because a packet
// may be lost; a truncated answer is asked for again over TCP.
func (c *verification) ask(ctx context.Context, server, network, name string, typ uint16, recursive bool) (*dns.Msg, error) {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = 2 * time.Second
	}
	q := new(dns.Msg).SetQuestion(name, typ).SetEdns0(udpSize, false)
	q.RecursionDesired = recursive
	client := dns.Client{Net: network, Timeout: timeout}
	m, _, err := client.ExchangeContext(ctx, q, server)
	var timed net.Error
	if network == "udp" && errors.As(err, &timed) && timed.Timeout() && ctx.Err() == nil {
		m, _, err = client.ExchangeContext(ctx, q, server)
	}
	if err == nil && m.Truncated && network == "udp" {
		client.Net = "tcp"
		m, _, err = client.ExchangeContext(ctx, q, server)
	}
	return m, err
}

// noWay says whether a question could not even be sent: this host has no address or route of that kind.
func noWay(err error) bool {
	return errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)
}

// nsHosts are the name servers that records of a zone name, sorted.
func nsHosts(rrs []dns.RR, zone string) []string {
	var out []string
	for _, rr := range rrs {
		if ns, ok := rr.(*dns.NS); ok && strings.EqualFold(ns.Hdr.Name, zone) {
			out = append(out, dns.CanonicalName(ns.Ns))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func sortedHosts(list []NameServer) []string {
	out := make([]string, len(list))
	for i, ns := range list {
		out[i] = ns.Host
	}
	slices.Sort(out)
	return out
}

func addressesOf(rrs []dns.RR, host string) []netip.Addr {
	var out []netip.Addr
	for _, rr := range rrs {
		if a, ok := addressOf(rr); ok && strings.EqualFold(rr.Header().Name, host) {
			out = append(out, a)
		}
	}
	return out
}

func soaOf(rrs []dns.RR, zone string) *dns.SOA {
	for _, rr := range rrs {
		if soa, ok := rr.(*dns.SOA); ok && strings.EqualFold(soa.Hdr.Name, zone) {
			return soa
		}
	}
	return nil
}

func sameSet(a, b []netip.Addr) bool {
	x, y := slices.Clone(a), slices.Clone(b)
	slices.SortFunc(x, netip.Addr.Compare)
	slices.SortFunc(y, netip.Addr.Compare)
	return slices.Equal(slices.Compact(x), slices.Compact(y))
}

func joinAddrs(list []netip.Addr) string {
	if len(list) == 0 {
		return "(none)"
	}
	out := make([]string, len(list))
	for i, a := range list {
		out[i] = a.String()
	}
	return strings.Join(out, ", ")
}

func joinTrimmed(hosts []string) string {
	out := make([]string, len(hosts))
	for i, h := range hosts {
		out[i] = trim(h)
	}
	return strings.Join(out, ", ")
}

func portOf(server string) string {
	at, err := netip.ParseAddrPort(server)
	if err != nil {
		return "53"
	}
	return strconv.Itoa(int(at.Port()))
}
