package healthcheck

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func write(s string) func(net.Conn) {
	return func(c net.Conn) { _, _ = c.Write([]byte(s)) }
}

func TestTCP(t *testing.T) {
	f := func(send, receive string, talk func(net.Conn), state State, reason string) Result {
		t.Helper()
		m := quick("tcp")
		m.Send, m.Receive = send, receive
		if strings.HasPrefix(reason, "timed out") {
			m.Timeout = 150 * time.Millisecond
		}
		r := Probe(t.Context(), m, responder(t, talk), Settings{})
		if r.State != state || !strings.HasPrefix(r.Reason, reason) {
			t.Errorf("got %s (%s), want %s (%s)", r.State, r.Reason, state, reason)
		}
		return r
	}
	f("", "", stall, Up, "connected")
	r := f("", "220 ", then(write("220 mail"), stall), Up, `the stream contains "220 "`)
	if string(r.FirstBytes) != "220 mail" || r.TTFB <= 0 {
		t.Errorf("facts: %+v", r)
	}
	f("PING\r\n", "", then(write("x"), stall), Up, "answered")
	f("PING\r\n", "+PONG", then(func(c net.Conn) { _, _ = c.Read(make([]byte, 6)) }, write("+PO"), write("NG\r\n"), stall), Up, `the stream contains "+PONG"`)
	f("", "regex:^2\\d\\d ", then(write("2"), write("2"), write("0 x"), stall), Up, `the stream contains /^2\d\d /`)
	f("", "end", then(write(strings.Repeat("x", 60000)), write("the end"), stall), Up, `the stream contains "end"`)
	f("", "220", write("421 busy"), Down, `the stream was "421 busy", wanted "220"`)
	f("", "220", func(net.Conn) {}, Down, "connection closed before the first byte")
	f("x", "220", stall, Down, "timed out before the first byte")
	f("", "220", then(write("wait"), stall), Down, `timed out in the stream: so far it was "wait", wanted "220"`)
	f("", "regex:never", drips("ab"), Down, `timed out in the stream: so far it was "ab`)
	f("", "220", endless("abcdefgh"), Down, `the first 64 KB of the stream do not contain "220", they begin with "abcdefgh`)
	f("", "regex:(a+)+$", endless("aaaaaaab"), Down, `the first 64 KB of the stream do not contain /(a+)+$/`)
}

// resolver is a DNS server that knows up.test (two addresses, the first one dead) and nothing else.
func resolver(t *testing.T, silent bool) string {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	srv := &dns.Server{PacketConn: pc, NotifyStartedFunc: func() { close(started) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		if silent {
			return
		}
		m := new(dns.Msg).SetReply(q)
		switch {
		case q.Question[0].Name != "up.test.":
			m.Rcode = dns.RcodeNameError
		case q.Question[0].Qtype == dns.TypeA:
			for _, ip := range []string{"127.0.0.9", "127.0.0.1"} {
				m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: "up.test.", Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.ParseIP(ip)})
			}
		}
		_ = w.WriteMsg(m)
	})}
	done := make(chan error, 1)
	go func() { done <- srv.ActivateAndServe() }()
	<-started
	t.Cleanup(func() {
		if err := srv.Shutdown(); err != nil {
			t.Error(err)
		}
		<-done
	})
	return pc.LocalAddr().String()
}

func TestResolver(t *testing.T) {
	_, port, err := net.SplitHostPort(responder(t, stall))
	if err != nil {
		t.Fatal(err)
	}
	f := func(silent bool, host string, state State, reason string) {
		t.Helper()
		m := quick("tcp")
		if silent {
			m.Timeout = 150 * time.Millisecond
		}
		r := Probe(context.Background(), m, net.JoinHostPort(host, port), Settings{Resolver: resolver(t, silent)})
		if r.State != state || r.Reason != reason || r.Resolve <= 0 || r.TimedOut != silent {
			t.Errorf("got %s (%s), want %s (%s): %+v", r.State, r.Reason, state, reason, r)
		}
	}
	f(false, "up.test", Up, "connected")
	f(false, "gone.test", Down, "the name gone.test does not exist in DNS")
	f(true, "up.test", Down, "timed out while resolving up.test")
}
