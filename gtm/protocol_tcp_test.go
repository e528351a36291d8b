package gtm

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/miekg/dns"

	"switchpoint/internal/covers"
)

// longChain writes a copy of a zone file with l40 -> l39 -> ... -> l0, an address.
func longChain(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		text = fmt.Appendf(text, "l%d.c. 300 CNAME l%d.c.\n", i+1, i)
	}
	text = append(text, "l0.c. 300 A 192.0.2.9\n"...)
	out := filepath.Join(t.TempDir(), "long.zone")
	if err := os.WriteFile(out, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return out
}

// tcpRow runs a server with limits for a row about connections only.
func tcpRow(t *testing.T, limits TCP) caller {
	t.Helper()
	covers.Req(t, "GT8")
	s, addr := startServer(t, Options{}, limitedTable(t, limits))
	return caller{t, "tcp", addr, s}
}

var brokerQuery = question("cb.company.com.", dns.TypeA)

// TestRowTCPPipelining: 50 queries in one write get 50 answers, and what comes octet by octet,
// across the borders of messages, is put together (RFC 7766 sections 6.2.1.1 and 8).
func TestRowTCPPipelining(t *testing.T) {
	c := tcpRow(t, TCP{})
	k := c.dial()
	var all []byte
	for id := range 50 {
		q := brokerQuery.Copy()
		q.Id = uint16(id)
		pkt := pack(t, q)
		all = append(append(all, byte(len(pkt)>>8), byte(len(pkt))), pkt...)
	}
	for _, step := range []int{len(all), 1, 50} {
		for rest := all; len(rest) > 0; {
			n := min(step, len(rest))
			if _, err := k.conn.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		seen := map[uint16]bool{}
		for range 50 {
			m := unpack(t, k.read())
			if seen[m.Id] || len(m.Answer) != 1 {
				t.Fatalf("in steps of %d: %v", step, m)
			}
			seen[m.Id] = true
		}
	}
}

// TestTCPAnswersDoNotWait: a query has its answer while the next one is only half here, and when
// what comes behind it ends the connection.
func TestTCPAnswersDoNotWait(t *testing.T) {
	c := tcpRow(t, TCP{})
	pkt := pack(t, brokerQuery)
	frame := append([]byte{byte(len(pkt) >> 8), byte(len(pkt))}, pkt...)
	response := append([]byte{}, frame...)
	response[4] |= 0x80 // QR
	for name, behind := range map[string][]byte{
		"half a length": frame[:1], "half a query": frame[:10], "a response": response,
	} {
		k := c.dial()
		if _, err := k.conn.Write(append(append([]byte{}, frame...), behind...)); err != nil {
			t.Fatal(err)
		}
		if err := k.conn.SetDeadline(time.Now().Add(DefaultTCPIdle / 2)); err != nil {
			t.Fatal(err)
		}
		if m := unpack(t, k.read()); len(m.Answer) != 1 {
			t.Errorf("before %s: %v", name, m)
		}
	}
}

// TestTCPClients: the addresses of one IPv6 /64 are one client.
func TestTCPClients(t *testing.T) {
	for _, c := range []struct {
		a, b string
		one  bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true},
		{"2001:db8:1:2::1", "2001:db8:1:3::1", false},
		{"fe80::1%eth0", "fe80::2%eth1", true},
	} {
		if one := hostOf(netip.MustParseAddr(c.a)) == hostOf(netip.MustParseAddr(c.b)); one != c.one {
			t.Errorf("%s and %s are one client: %v", c.a, c.b, one)
		}
	}
}

// TestRowTCPIdle: the configured time ends a connection without queries, one within a query,
// and one that sends its query too slowly; each answered query starts the time anew.
func TestRowTCPIdle(t *testing.T) {
	const idle = 600 * time.Millisecond
	c := tcpRow(t, TCP{Idle: idle})
	silent, half, slow, busy := c.dial(), c.dial(), c.dial(), c.dial()
	if _, err := half.conn.Write([]byte{0, 30, 1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	tick := time.NewTicker(idle / 20)
	defer tick.Stop()
	frame := binary.BigEndian.AppendUint16(nil, 512)
	for ; time.Since(start) < 2*idle; <-tick.C {
		// Fails once the server has closed it, which is what is wanted below.
		_, _ = slow.conn.Write(append(frame, 0))
		frame = frame[:0]
		busy.write(pack(t, brokerQuery))
		busy.read()
	}
	wantClosed(t, "silent", silent.conn)
	wantClosed(t, "half a query", half.conn)
	wantClosed(t, "an octet now and then", slow.conn)
}

// TestRowTCPTotalLimit: above the limit of all clients together a connection is closed at once.
func TestRowTCPTotalLimit(t *testing.T) {
	c := tcpRow(t, TCP{Connections: 2})
	kept := []talk{c.dial(), c.dial()}
	for _, k := range kept {
		k.write(pack(t, brokerQuery))
		k.read()
	}
	wantClosed(t, "the third connection", c.dial().conn)
	kept[0].write(pack(t, brokerQuery))
	kept[0].read()
}

// TestRowTCPClientLimit: above the limit of one client its next connection is closed at once,
// while another client gets in.
func TestRowTCPClientLimit(t *testing.T) {
	c := tcpRow(t, TCP{PerClient: 1})
	first := c.dial()
	first.write(pack(t, brokerQuery))
	first.read()
	wantClosed(t, "the second connection", c.dial().conn)
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, Timeout: 5 * time.Second}
	conn, err := d.DialContext(t.Context(), "tcp", c.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	other := talk{t, conn, true}
	other.write(pack(t, brokerQuery))
	if m := unpack(t, other.read()); len(m.Answer) != 1 {
		t.Errorf("another client: %v", m)
	}
}

// TestRowTCPReload: new limits count for open connections from their next query on.
func TestRowTCPReload(t *testing.T) {
	c := tcpRow(t, TCP{})
	k := c.dial()
	k.write(pack(t, brokerQuery))
	k.read()
	c.server.SetTable(limitedTable(t, TCP{Idle: 200 * time.Millisecond}))
	k.write(pack(t, brokerQuery))
	k.read()
	wantClosed(t, "idle by the new limit", k.conn)
}
