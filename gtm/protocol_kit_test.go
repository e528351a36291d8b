package gtm

import (
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// The tests TestRow... are the rows of the protocol table (requirement GT8), one each, through
// real sockets, over UDP and TCP.

// rowZone is the zone c. of the rows.
const rowZone = `
wild.c. 300 TXT "own"
*.wild.c. 300 A 192.0.2.7
deep.ent.c. 300 A 192.0.2.8
c00.c. 300 CNAME c01.c.
c01.c. 300 CNAME c02.c.
c02.c. 300 CNAME www.c.
loop1.c. 300 CNAME loop2.c.
loop2.c. 300 CNAME loop1.c.
out.c. 300 CNAME www.example.net.
svc.c. 300 HTTPS 1 . alpn=h2 ipv4hint=192.0.2.80
_foo.c. 300 SVCB 0 www.c.
odd.c. 300 TYPE65534 \# 4 0A000001
few.c. 300 A 192.0.2.1
few.c. 300 A 192.0.2.2
few.c. 300 A 192.0.2.3
mixed.c. 300 NS ns.mixed.c.
mixed.c. 300 NS ns.other.c.
ns.mixed.c. 300 A 192.0.2.61
other.c. 300 NS ns.other.c.
ns.other.c. 300 A 192.0.2.62
`

// rowConfig has a zone with a file, a steered apex and a zone without a file.
func rowConfig(t testing.TB) Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "c.zone")
	if err := os.WriteFile(file, []byte(bigZone()+rowZone), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := goodConfig()
	cfg.Zones = append(cfg.Zones, Zone{Origin: "c", File: file}, Zone{Origin: "apex.test", NS: []string{"ns1.example.net"}})
	cfg.Names = append(cfg.Names, Name{Name: "apex.test", Pools: []Pool{
		{Datacenter: "us", Members: []Member{{Address: "10.1.0.9"}, {Address: "2001:db8::9"}}},
	}})
	return cfg
}

func compiled(t testing.TB, cfg Config) *Table {
	t.Helper()
	table, err := Compile(cfg, anyRef)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// rows runs a server and calls test once over UDP and once over TCP. change adjusts rowConfig.
func rows(t *testing.T, change func(*Config), test func(t *testing.T, c caller)) {
	t.Helper()
	cfg := rowConfig(t)
	if change != nil {
		change(&cfg)
	}
	s, addr := startServer(t, Options{}, compiled(t, cfg))
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) { test(t, caller{t, network, addr, s}) })
	}
}

// caller asks a server over one transport.
type caller struct {
	t       *testing.T
	network string
	addr    string
	server  *Server
}

func (c caller) tcp() bool { return c.network == "tcp" }

// send exchanges octets for octets.
func (c caller) send(pkt []byte) []byte {
	c.t.Helper()
	conn := c.dial()
	conn.write(pkt)
	return conn.read()
}

// raw sends a packet and unpacks the answer.
func (c caller) raw(pkt []byte) *dns.Msg {
	c.t.Helper()
	return unpack(c.t, c.send(pkt))
}

func unpack(t testing.TB, wire []byte) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	if err := m.Unpack(wire); err != nil {
		t.Fatalf("the answer %x: %v", wire, err)
	}
	return m
}

// ask sends a query and checks what holds for every answer.
func (c caller) ask(q *dns.Msg) *dns.Msg {
	c.t.Helper()
	m := c.raw(pack(c.t, q))
	if m.Id != q.Id || !m.Response || m.Opcode != q.Opcode || m.RecursionAvailable || m.AuthenticatedData || m.Zero {
		c.t.Errorf("header of the answer: %v", m.MsgHdr.String())
	}
	return m
}

// want asks and compares the response code.
func (c caller) want(what string, rcode int, q *dns.Msg) *dns.Msg {
	c.t.Helper()
	m := c.ask(q)
	if m.Rcode != rcode {
		c.t.Errorf("%s: %s, want %s", what, rcodeText(m.Rcode), rcodeText(rcode))
	}
	return m
}

// talk is one open socket.
type talk struct {
	t    *testing.T
	conn net.Conn
	tcp  bool
}

func (c caller) dial() talk {
	c.t.Helper()
	conn, err := net.Dial(c.network, c.addr)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		c.t.Fatal(err)
	}
	return talk{c.t, conn, c.tcp()}
}

func (k talk) write(pkt []byte) {
	k.t.Helper()
	if k.tcp {
		pkt = append(binary.BigEndian.AppendUint16(nil, uint16(len(pkt))), pkt...)
	}
	if _, err := k.conn.Write(pkt); err != nil {
		k.t.Fatal(err)
	}
}

func (k talk) read() []byte {
	k.t.Helper()
	conn := dns.Conn{Conn: k.conn, UDPSize: maxMessage}
	wire := make([]byte, maxMessage)
	n, err := conn.Read(wire)
	if err != nil {
		k.t.Fatalf("no answer: %v", err)
	}
	return wire[:n]
}

// question makes a query, with changes.
func question(name string, typ uint16, changes ...func(*dns.Msg)) *dns.Msg {
	q := new(dns.Msg).SetQuestion(name, typ)
	for _, change := range changes {
		change(q)
	}
	return q
}

// edns adds an OPT record with a payload size.
func edns(size uint16) func(*dns.Msg) {
	return func(q *dns.Msg) { q.SetEdns0(size, false) }
}

// with adds an EDNS option, and OPT where there is none.
func with(code uint16, data ...byte) func(*dns.Msg) {
	return func(q *dns.Msg) {
		if q.IsEdns0() == nil {
			q.SetEdns0(udpSize, false)
		}
		o := q.IsEdns0()
		o.Option = append(o.Option, &dns.EDNS0_LOCAL{Code: code, Data: data})
	}
}

// option gives the data of an option of a message, nil where it does not have it. It packs the
// OPT record again, so that every kind of option is looked at in the same form.
func option(t testing.TB, m *dns.Msg, code uint16) []byte {
	t.Helper()
	o := m.IsEdns0()
	if o == nil {
		return nil
	}
	buf := make([]byte, maxMessage)
	end, err := dns.PackRR(o, buf, 0, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	for data := buf[11:end]; len(data) >= 4; {
		n := 4 + int(binary.BigEndian.Uint16(data[2:]))
		if binary.BigEndian.Uint16(data) == code {
			return data[4:n]
		}
		data = data[n:]
	}
	return nil
}

// extended gives the code of the first extended error, -1 without one.
func extended(m *dns.Msg) int {
	if o := m.IsEdns0(); o != nil {
		for _, opt := range o.Option {
			if e, ok := opt.(*dns.EDNS0_EDE); ok {
				return int(e.InfoCode)
			}
		}
	}
	return -1
}
