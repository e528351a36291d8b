package healthcheck

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// datagrams is a UDP target that does with each question what talk says, and over TCP, on the
// same port, what stream says.
func datagrams(t *testing.T, talk func(pc net.PacketConn, from net.Addr, q *dns.Msg), stream func(net.Conn)) string {
	t.Helper()
	addr := responder(t, stream)
	pc, err := net.ListenPacket("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			q := new(dns.Msg)
			if q.Unpack(buf[:n]) == nil {
				talk(pc, from, q)
			}
		}
	}()
	t.Cleanup(func() {
		_ = pc.Close()
		<-done
	})
	return addr
}

func packed(t *testing.T, m *dns.Msg) []byte {
	t.Helper()
	b, err := m.Pack()
	if err != nil {
		t.Error(err)
	}
	return b
}

// replies answers with records, after change.
func replies(t *testing.T, change func(*dns.Msg), records ...string) func(net.PacketConn, net.Addr, *dns.Msg) {
	return func(pc net.PacketConn, from net.Addr, q *dns.Msg) {
		_, _ = pc.WriteTo(packed(t, reply(t, q, change, records)), from)
	}
}

func reply(t *testing.T, q *dns.Msg, change func(*dns.Msg), records []string) *dns.Msg {
	t.Helper()
	m := new(dns.Msg).SetReply(q)
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Error(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	if change != nil {
		change(m)
	}
	return m
}

// overTCP answers one question on a stream.
func overTCP(t *testing.T, records ...string) func(net.Conn) {
	return func(c net.Conn) {
		talk := &dns.Conn{Conn: c}
		if q, err := talk.ReadMsg(); err == nil {
			_ = talk.WriteMsg(reply(t, q, nil, records))
		}
		stall(c)
	}
}

func askDNS(t *testing.T, m Monitor, addr string, state State, reason string) Result {
	t.Helper()
	if m.Query == "" {
		m.Query = "cb.company.com A"
	}
	if strings.HasPrefix(reason, "timed out") || strings.Contains(reason, ": timed out") {
		m.Timeout = 150 * time.Millisecond
	}
	r := Probe(t.Context(), m, addr, Settings{})
	if r.State != state || r.Reason != reason || r.TimedOut != (m.Timeout < time.Second) || len(r.FirstBytes) > firstBytes {
		t.Errorf("got %s (%s), want %s (%s)", r.State, r.Reason, state, reason)
	}
	return r
}

func TestDNS(t *testing.T) {
	const one, two = "cb.company.com. 5 IN A 192.0.2.10", "cb.company.com. 5 IN A 192.0.2.11"
	rcode := func(code int) func(*dns.Msg) { return func(m *dns.Msg) { m.Rcode = code } }
	m := quick("dns")
	want := m
	want.Receive = "192.0.2.11"

	r := askDNS(t, m, datagrams(t, replies(t, nil, one, two), stall), Up, "NOERROR, 2 records")
	if string(r.FirstBytes) != "cb.company.com. 5 IN A 192.0.2.10\ncb.company.com. 5 IN A 192.0.2.11\n" || r.TTFB <= 0 {
		t.Errorf("facts: %+v", r)
	}
	askDNS(t, m, datagrams(t, replies(t, nil), stall), Up, "NOERROR, 0 records")
	askDNS(t, want, datagrams(t, replies(t, nil, one, two), stall), Up, `the records contain "192.0.2.11"`)
	askDNS(t, want, datagrams(t, replies(t, nil, one), stall), Down, `NOERROR but the records are "cb.company.com. 5 IN A 192.0.2.10", wanted "192.0.2.11"`)
	askDNS(t, want, datagrams(t, replies(t, nil), stall), Down, `NOERROR but there are no records, wanted "192.0.2.11"`)
	askDNS(t, m, datagrams(t, replies(t, rcode(dns.RcodeServerFailure)), stall), Down, "the server answered SERVFAIL")
	askDNS(t, m, datagrams(t, replies(t, rcode(dns.RcodeNameError)), stall), Down, "the server answered NXDOMAIN")
	askDNS(t, m, datagrams(t, replies(t, rcode(12)), stall), Down, "the server answered the unknown code 12")
	askDNS(t, m, datagrams(t, func(net.PacketConn, net.Addr, *dns.Msg) {}, stall), Down, "timed out waiting for the answer")
	srv := m
	srv.Query = "_connection_broker._tcp.company.com srv"
	askDNS(t, srv, datagrams(t, replies(t, nil, "_connection_broker._tcp.company.com. 5 IN SRV 0 0 443 cb.company.com."), stall), Up, "NOERROR, 1 records")
}

// What is not the answer to this very question is passed over.
func TestDNSForeignAnswers(t *testing.T) {
	const one = "cb.company.com. 5 IN A 192.0.2.10"
	foreign := func(pc net.PacketConn, from net.Addr, q *dns.Msg) {
		for _, change := range []func(*dns.Msg){
			func(m *dns.Msg) { m.Id++ },
			func(m *dns.Msg) { m.Response = false },
			func(m *dns.Msg) { m.Question[0].Name = "evil.company.com." },
			func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA },
		} {
			_, _ = pc.WriteTo(packed(t, reply(t, q, change, []string{"cb.company.com. 5 IN A 203.0.113.66"})), from)
		}
		_, _ = pc.WriteTo([]byte("short"), from)
		_, _ = pc.WriteTo([]byte(strings.Repeat("x", 600)), from)
	}
	m := quick("dns")
	askDNS(t, m, datagrams(t, foreign, stall), Down, "timed out waiting for the answer")
	m.Receive = "192.0.2.10"
	both := func(pc net.PacketConn, from net.Addr, q *dns.Msg) {
		foreign(pc, from, q)
		replies(t, nil, one)(pc, from, q)
	}
	askDNS(t, m, datagrams(t, both, stall), Up, `the records contain "192.0.2.10"`)
	broken := func(pc net.PacketConn, from net.Addr, q *dns.Msg) {
		b := packed(t, reply(t, q, nil, []string{one}))
		_, _ = pc.WriteTo(b[:len(b)-2], from)
	}
	r := askDNS(t, quick("dns"), datagrams(t, broken, stall), Down, "the answer is no DNS message: overflowing header size")
	if len(r.FirstBytes) == 0 {
		t.Error("what the target sent is not kept")
	}
}

func TestDNSOverTCP(t *testing.T) {
	cut := replies(t, func(m *dns.Msg) { m.Truncated = true })
	const one = "cb.company.com. 5 IN A 192.0.2.10"
	m := quick("dns")
	m.Receive = "192.0.2.10"
	many := make([]string, 500)
	for i := range many {
		many[i] = "cb.company.com. 5 IN TXT " + strings.Repeat("x", 20)
	}
	const over = "the answer was cut, and over TCP: "
	askDNS(t, m, datagrams(t, cut, overTCP(t, one)), Up, `the records contain "192.0.2.10"`)
	askDNS(t, m, datagrams(t, cut, stall), Down, over+"timed out waiting for the answer")
	askDNS(t, m, datagrams(t, cut, func(c net.Conn) { _, _ = c.Read(make([]byte, 512)) }), Down, over+"connection closed waiting for the answer")
	askDNS(t, m, datagrams(t, cut, then(func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) }, reset)), Down, over+"connection reset waiting for the answer")
	askDNS(t, m, datagrams(t, cut, drips("\x7f")), Down, over+"timed out waiting for the answer")
	askDNS(t, m, datagrams(t, cut, endless("\x00\x20"+strings.Repeat("a", 32))), Down, over+"timed out waiting for the answer")
	m.Receive = ""
	r := askDNS(t, m, datagrams(t, cut, overTCP(t, many...)), Up, "NOERROR, 500 records")
	if r.Dial <= 0 {
		t.Errorf("steps: %+v", r)
	}
}

func TestDNSRefusedAndCancelled(t *testing.T) {
	m := quick("dns")
	askDNS(t, m, refused(t), Down, "connection refused")
	ctx, cancel := context.WithCancel(t.Context())
	addr := datagrams(t, func(net.PacketConn, net.Addr, *dns.Msg) { cancel() }, stall)
	m.Query, m.Interval, m.Timeout = "cb.company.com", time.Hour, time.Minute
	if r := Probe(ctx, m, addr, Settings{}); r.Reason != "the probe was cancelled waiting for the answer" || r.Total > 30*time.Second {
		t.Errorf("%s after %v", r.Reason, r.Total)
	}
	m.Query, m.Timeout = "cb.company.com", 5*time.Second
	if r := Probe(t.Context(), m, "gone.test:53", Settings{Resolver: resolver(t, false)}); r.Reason != "the name gone.test does not exist in DNS" {
		t.Errorf("%+v", r)
	}
}

func TestNewQuestion(t *testing.T) {
	f := func(query, want string) {
		t.Helper()
		q, err := newQuestion(query)
		got := strings.TrimPrefix(strings.Join(strings.Fields(q.String()), " "), ";")
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %s, want %s", query, got, want)
		}
	}
	f("CB.company.com", "cb.company.com. IN A")
	f(" cb.company.com.  aaaa ", "cb.company.com. IN AAAA")
	f("", `"" is no question of the form NAME TYPE`)
	f("a b c", `"a b c" is no question of the form NAME TYPE`)
	f("a..b A", `"a..b" is no domain name`)
	f("a.test AXFR", `"AXFR" is no record type that can be asked for`)
	f("a.test NOPE", `"NOPE" is no record type that can be asked for`)
}
