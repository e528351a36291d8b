package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// dnsTimeout bounds one question to one DNS server, so that a dead one costs little (TP5).
const dnsTimeout = time.Second

// resolver asks the given DNS servers in order, from the client's source address.
type resolver struct {
	servers []string     // host:port
	source  netip.Addr   // invalid: any
	system  net.Resolver // used when servers is empty
}

// Resolve asks the DNS servers for the addresses of host, as Login does, from the source address
// (invalid: any). It returns the addresses in the order of the answer and the server that gave it.
func Resolve(ctx context.Context, servers []string, source netip.Addr, host string) ([]netip.Addr, string, error) {
	r := resolver{servers: servers, source: source}
	return r.addresses(ctx, host)
}

// addresses returns the addresses of host and the server that answered.
func (r *resolver) addresses(ctx context.Context, host string) ([]netip.Addr, string, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, "literal", nil
	}
	var addrs []netip.Addr
	server, err := r.ask(ctx, func(ctx context.Context, res *net.Resolver) error {
		var err error
		addrs, err = res.LookupNetIP(ctx, r.network(), rooted(host))
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("resolve %s: %w", host, err)
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return addrs, server, nil
}

// brokers returns the targets of _connection_broker._tcp.domain in the order of RFC 2782.
func (r *resolver) brokers(ctx context.Context, domain string) ([]*net.SRV, string, error) {
	var srvs []*net.SRV
	server, err := r.ask(ctx, func(ctx context.Context, res *net.Resolver) error {
		var err error
		_, srvs, err = res.LookupSRV(ctx, "connection_broker", "tcp", rooted(domain))
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("resolve _connection_broker._tcp.%s: %w", domain, err)
	}
	return srvs, server, nil
}

// ask tries one server after the other until one gives an answer; "no such host" is an answer.
func (r *resolver) ask(ctx context.Context, lookup func(context.Context, *net.Resolver) error) (string, error) {
	if len(r.servers) == 0 {
		return "system", lookup(ctx, &r.system)
	}
	var failures []error
	for _, server := range r.servers {
		ctx, cancel := context.WithTimeout(ctx, dnsTimeout)
		err := lookup(ctx, r.through(server))
		cancel()
		var dnsErr *net.DNSError
		if err == nil || errors.As(err, &dnsErr) && dnsErr.IsNotFound {
			return server, err
		}
		failures = append(failures, fmt.Errorf("DNS server %s: %w", server, err))
	}
	return "", errors.Join(failures...)
}

func (r *resolver) through(server string) *net.Resolver {
	return &net.Resolver{
		PreferGo:     true,
		StrictErrors: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			d := net.Dialer{}
			if r.source.IsValid() {
				d.LocalAddr = localAddr(network, r.source)
			}
			return d.DialContext(ctx, network, server)
		},
	}
}

// network keeps to the address family of the source: another one could not be dialled from it.
func (r *resolver) network() string {
	switch {
	case !r.source.IsValid():
		return "ip"
	case r.source.Is4():
		return "ip4"
	default:
		return "ip6"
	}
}

func localAddr(network string, a netip.Addr) net.Addr {
	if strings.HasPrefix(network, "udp") {
		return net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 0))
	}
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(a, 0))
}

// rooted adds the final dot that keeps the machine's search list out of the question.
func rooted(name string) string {
	return strings.TrimSuffix(name, ".") + "."
}
