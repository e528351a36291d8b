package lb

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"switchpoint/internal/covers"
)

// TestTCPCarries: 100 MB there and 100 MB back through the kernel, with nothing held here.
func TestTCPCarries(t *testing.T) {
	covers.Req(t, "LB10")
	const size = 100 << 20
	r := start(t, tcpConfig(services(startService(t, echo))...))
	c := dial(t, r.addr)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	sent, got := sha256.New(), sha256.New()
	var up sync.WaitGroup
	up.Go(func() {
		if _, err := io.Copy(io.MultiWriter(c, sent), noise(size)); err != nil {
			t.Error(err)
		}
		if err := c.CloseWrite(); err != nil {
			t.Error(err)
		}
	})
	n, err := io.Copy(got, c)
	up.Wait()
	runtime.ReadMemStats(&after)
	if err != nil || n != size || !bytes.Equal(sent.Sum(nil), got.Sum(nil)) {
		t.Errorf("%d bytes of %d came back: %v", n, size, err)
	}
	if all := after.TotalAlloc - before.TotalAlloc; all > 4<<20 {
		t.Errorf("%d bytes were allocated for it", all)
	}
	r.ended(t, "a", clientEnd)
	if in, out := testutil.ToFloat64(r.series("a").in), testutil.ToFloat64(r.series("a").out); in != size || out != size {
		t.Errorf("counted %v bytes in, %v out", in, out)
	}
	eventually(t, "no open connection", func() bool { return testutil.ToFloat64(r.series("a").open) == 0 })
	if n := r.Explain("front", loopback).Members[0].InFlight; n != 0 {
		t.Errorf("%d in flight", n)
	}
}

// TestTCPRestsOnTwoDescriptors: a connection on which nothing moves costs its two sockets; the
// pipes are with those that move something.
func TestTCPRestsOnTwoDescriptors(t *testing.T) {
	const n = 50
	r := start(t, tcpConfig(services(startService(t, greet("a")))...))
	descriptors := func() int {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(fds)
	}
	before := descriptors()
	for range n {
		c := dial(t, r.addr)
		line(t, c)
		say(t, c, "x\n")
		line(t, c)
	}
	// Client and member are in this process, too, and make it four.
	if used := descriptors() - before; used > 4*n+2*maxIdlePipes {
		t.Errorf("%d connections hold %d descriptors", n, used)
	}
}

// TestTCPHalfClose: each half ends by itself.
func TestTCPHalfClose(t *testing.T) {
	covers.Req(t, "LB10")
	heard := make(chan string, 1)
	count := startService(t, func(c *net.TCPConn) {
		all, err := io.ReadAll(c) // to the client's end
		_, _ = fmt.Fprintf(c, "%d %v\n", len(all), err)
	})
	bye := startService(t, func(c *net.TCPConn) {
		_, _ = io.WriteString(c, "bye\n")
		_ = c.CloseWrite()
		all, _ := io.ReadAll(c)
		heard <- string(all)
	})
	t.Run("client first", func(t *testing.T) {
		r := start(t, tcpConfig(services(count)...))
		c := dial(t, r.addr)
		say(t, c, strings.Repeat("x", 100_000))
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if out, err := io.ReadAll(c); err != nil || string(out) != "100000 <nil>\n" {
			t.Errorf("got %q, %v", out, err)
		}
		r.ended(t, "a", clientEnd)
	})
	t.Run("member first", func(t *testing.T) {
		r := start(t, tcpConfig(services(bye)...))
		c := dial(t, r.addr)
		if out, err := io.ReadAll(c); err != nil || string(out) != "bye\n" {
			t.Errorf("got %q, %v", out, err)
		}
		say(t, c, "still here")
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got := <-heard; got != "still here" {
			t.Errorf("the member heard %q", got)
		}
		r.ended(t, "a", memberEnd)
	})
}

// TestTCPBreaks: a side that breaks off is seen as broken by the other, never as an orderly end.
func TestTCPBreaks(t *testing.T) {
	covers.Req(t, "LB10")
	t.Run("member", func(t *testing.T) {
		s := startService(t, greet("a"))
		r := start(t, tcpConfig(services(s)...))
		c := dial(t, r.addr)
		line(t, c)
		s.kill()
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the client sees %v", err)
		}
		r.ended(t, "a", memberBroke)
	})
	t.Run("client", func(t *testing.T) {
		seen := make(chan error, 1)
		s := startService(t, func(c *net.TCPConn) {
			_, _ = io.WriteString(c, "a\n")
			_, err := io.Copy(io.Discard, c)
			seen <- err
		})
		r := start(t, tcpConfig(services(s)...))
		c := dial(t, r.addr)
		line(t, c)
		reset(c)
		if err := <-seen; !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the member sees %v", err)
		}
		r.ended(t, "a", clientBroke)
	})
	t.Run("nobody reads", func(t *testing.T) { // the blocked half ends with the other
		s := startService(t, func(c *net.TCPConn) {
			_, _ = io.WriteString(c, "a\n")
			buf := make([]byte, 1<<20)
			for {
				if _, err := c.Write(buf); err != nil {
					return
				}
			}
		})
		r := start(t, tcpConfig(services(s)...))
		c := dial(t, r.addr)
		line(t, c)
		eventually(t, "the client's window is full", func() bool { return r.settled("a") })
		reset(c)
		r.ended(t, "a", clientBroke)
	})
}

// TestTCPSlowReader: what nobody reads waits in the kernel, in a bounded amount, and then goes on.
func TestTCPSlowReader(t *testing.T) {
	const size = 64 << 20
	release := make(chan struct{})
	got := make(chan int64, 1)
	s := startService(t, func(c *net.TCPConn) {
		<-release
		n, _ := io.Copy(io.Discard, c)
		got <- n
	})
	r := start(t, tcpConfig(services(s)...))
	c := dial(t, r.addr)
	var sent atomic.Int64
	var up sync.WaitGroup
	up.Go(func() {
		chunk := make([]byte, 64<<10)
		for sent.Load() < size {
			n, err := c.Write(chunk)
			sent.Add(int64(n))
			if err != nil {
				t.Error(err)
				return
			}
		}
		_ = c.CloseWrite()
	})
	eventually(t, "the member's window is full", func() bool { return sent.Load() > 0 && r.settled("a") })
	if n := sent.Load(); n >= size {
		t.Errorf("%d bytes were taken for a member that reads none", n)
	}
	close(release)
	up.Wait()
	if n := <-got; n != sent.Load() {
		t.Errorf("the member got %d of %d bytes", n, sent.Load())
	}
}

// TestTCPIdle: the time-out counts from the last byte of either direction.
func TestTCPIdle(t *testing.T) {
	talks := startService(t, func(c *net.TCPConn) {
		for range 8 { // one direction is enough, for longer than the time-out
			time.Sleep(100 * ms)
			_, _ = io.WriteString(c, "x\n")
		}
		_, _ = io.Copy(io.Discard, c)
	})
	cfg := tcpConfig(services(talks)...)
	cfg.Listeners[0].IdleTimeout = 400 * ms
	r := start(t, cfg)
	c := dial(t, r.addr)
	for range 8 {
		line(t, c)
	}
	rested := time.Now()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client sees %v", err)
	}
	if d := time.Since(rested); d < 200*ms || d > 5*time.Second {
		t.Errorf("it was ended after %v", d)
	}
	r.ended(t, "a", idleEnd)
}
