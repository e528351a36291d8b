package healthcheck

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// inEcho completes "timed out ..." of an echo request.
const inEcho stage = "waiting for the echo"

// echoToken is how many random bytes an echo request carries: an answer that does not return
// them is not ours, whatever its id and sequence number say.
const echoToken = 16

// newICMP is kind "icmp": one echo request (RFC 792, RFC 4443 4.1), one echo. The port of the
// address means nothing to it.
func newICMP(d *dialer) exchange {
	return func(ctx context.Context, address string, r *Result) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			r.down("the address is no host:port: " + deepest(err))
			return
		}
		ip, ok := d.firstAddress(ctx, host, r)
		if !ok {
			return
		}
		p, err := openPing(ip)
		if err != nil {
			r.failPing(ctx, err)
			return
		}
		defer p.conn.Close()
		if end, ok := ctx.Deadline(); ok {
			_ = p.conn.SetDeadline(end)
		}
		defer context.AfterFunc(ctx, func() { _ = p.conn.SetDeadline(time.Unix(1, 0)) })()
		sent := time.Now()
		if err := p.ask(); err != nil {
			r.failPing(ctx, err)
			return
		}
		r.TTFB = time.Since(sent)
		r.State, r.Reason = Up, "echo"
	}
}

// firstAddress gives the address of a host name that a client would try first. On failure it has
// said why in r.
func (d *dialer) firstAddress(ctx context.Context, host string, r *Result) (netip.Addr, bool) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip, true
	}
	start := time.Now()
	addrs, err := d.resolver.LookupNetIP(ctx, "ip", host)
	r.Resolve = time.Since(start)
	if err == nil && len(addrs) == 0 {
		err = &net.DNSError{Err: "no address", Name: host, IsNotFound: true}
	}
	if err != nil {
		r.failResolve(ctx, host, err)
		return netip.Addr{}, false
	}
	return addrs[0].Unmap(), true
}

// ping is one echo request and the socket that waits for its answer.
type ping struct {
	conn net.PacketConn
	to   net.Addr
	ip   netip.Addr
	id   int // 0: the kernel chooses it and delivers nothing else
	seq  int
	data [echoToken]byte
}

// openPing opens a datagram ICMP socket where the kernel allows that to our group
// (net.ipv4.ping_group_range, for both families), or else a raw one, which needs CAP_NET_RAW.
func openPing(ip netip.Addr) (*ping, error) {
	p := &ping{ip: ip.Unmap()}
	if _, err := rand.Read(p.data[:]); err != nil {
		return nil, fmt.Errorf("random bytes: %w", err)
	}
	p.seq = int(binary.BigEndian.Uint16(p.data[:2]))
	datagram, raw, everywhere := "udp4", "ip4:icmp", "0.0.0.0"
	if p.ip.Is6() {
		datagram, raw, everywhere = "udp6", "ip6:ipv6-icmp", "::"
	}
	conn, err := icmp.ListenPacket(datagram, everywhere)
	if err == nil {
		p.conn, p.to = conn, &net.UDPAddr{IP: p.ip.AsSlice(), Zone: p.ip.Zone()}
		return p, nil
	}
	if !mayNot(err) {
		return nil, err
	}
	if conn, err = icmp.ListenPacket(raw, everywhere); err != nil {
		return nil, err
	}
	p.conn, p.to = conn, &net.IPAddr{IP: p.ip.AsSlice(), Zone: p.ip.Zone()}
	p.id = int(binary.BigEndian.Uint16(p.data[2:4])) | 1
	return p, nil
}

func mayNot(err error) bool {
	return errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPROTONOSUPPORT)
}

// ask sends the request and waits for its echo; all that is not its echo is passed over.
func (p *ping) ask() error {
	var kind icmp.Type = ipv4.ICMPTypeEcho
	if p.ip.Is6() {
		kind = ipv6.ICMPTypeEchoRequest
	}
	m := icmp.Message{Type: kind, Body: &icmp.Echo{ID: p.id, Seq: p.seq, Data: p.data[:]}}
	b, err := m.Marshal(nil) // the kernel fills the checksum of ICMPv6
	if err != nil {
		return fmt.Errorf("encode the echo request: %w", err)
	}
	if _, err := p.conn.WriteTo(b, p.to); err != nil {
		return err
	}
	var buf [1500]byte
	for {
		n, from, err := p.conn.ReadFrom(buf[:])
		if err != nil {
			return err
		}
		if p.answers(buf[:n], from) {
			return nil
		}
	}
}

// answers says whether b, received from an address, is the echo of our request.
func (p *ping) answers(b []byte, from net.Addr) bool {
	protocol, kind := 1, icmp.Type(ipv4.ICMPTypeEchoReply)
	if p.ip.Is6() {
		protocol, kind = 58, ipv6.ICMPTypeEchoReply
	}
	var ip net.IP
	switch a := from.(type) {
	case *net.UDPAddr:
		ip = a.IP
	case *net.IPAddr:
		ip = a.IP
	}
	if !ip.Equal(p.ip.AsSlice()) {
		return false
	}
	m, err := icmp.ParseMessage(protocol, b)
	if err != nil || m.Type != kind {
		return false
	}
	echo, ok := m.Body.(*icmp.Echo)
	return ok && (p.id == 0 || echo.ID == p.id) && echo.Seq == p.seq && bytes.Equal(echo.Data, p.data[:])
}

// failPing makes r a failure of err in plain words.
func (r *Result) failPing(ctx context.Context, err error) {
	if mayNot(err) {
		r.down("this process may not send ICMP: put its group into the sysctl net.ipv4.ping_group_range, or give it CAP_NET_RAW")
		return
	}
	r.fail(ctx, inEcho, err)
}
