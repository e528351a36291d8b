package gtm

import (
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestVerifyAsksAgain: one packet that is lost on the way is no fault of a delegation.
func TestVerifyAsksAgain(t *testing.T) {
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	var seen atomic.Int32
	s := &dns.Server{PacketConn: l, NotifyStartedFunc: func() { close(started) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		if seen.Add(1) > 1 {
			_ = w.WriteMsg(new(dns.Msg).SetReply(q))
		}
	})}
	done := make(chan error, 1)
	go func() { done <- s.ActivateAndServe() }()
	<-started
	defer func() {
		if err := s.Shutdown(); err != nil {
			t.Error(err)
		}
		<-done
	}()
	c := verification{Verifier: Verifier{Timeout: 200 * time.Millisecond}}
	if _, err := c.ask(t.Context(), l.LocalAddr().String(), "udp", "c.", typeNS, false); err != nil {
		t.Error(err)
	}
}

// TestVerifyWithoutAWay: a server that this host has no way to is told of and does not count as a fault,
// unless there is no other.
func TestVerifyWithoutAWay(t *testing.T) {
	none := &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ENETUNREACH)}
	refused := &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNREFUSED)}
	f := func(want string, errs ...error) {
		t.Helper()
		c := verification{}
		for _, err := range errs {
			if err == nil {
				c.reached = true
				continue
			}
			c.silent(err, "cure", "server")
		}
		c.someReached("the zone")
		var marks strings.Builder
		for _, f := range c.findings {
			marks.WriteString(f.Mark)
		}
		if marks.String() != want || c.reached {
			t.Errorf("%v: %q, want %q", errs, c.findings, want)
		}
	}
	f("!", none, nil)
	f("!!-", none, none)
	f("-", refused)
	f("!-", none, refused)
}
