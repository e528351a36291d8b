package lb

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"switchpoint/internal/covers"
)

const upgradeRequest = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n"

// startEcho is a member that changes protocols, greets in the same packet, and echoes until the
// client ends, when it says bye.
func startEcho(t *testing.T) (addr string) {
	return serveRaw(t, func(c net.Conn) {
		br := bufio.NewReader(c)
		head := readHead(br)
		if !strings.Contains(head, "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n") || !strings.Contains(head, "Sec-WebSocket-Key: k") {
			_, _ = io.WriteString(c, "HTTP/1.1 400 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 101 Go\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: a\r\n\r\nwelcome ")
		_, _ = io.Copy(c, br)
		_, _ = io.WriteString(c, "bye")
	})
}

// TestUpgrade: bytes go both ways after 101, those that came right behind a head first, and the
// end of one side leaves the other going.
func TestUpgrade(t *testing.T) {
	covers.Req(t, "LB5")
	ca := newAuthority(t)
	for name, secure := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			cfg := plainConfig([]Member{{Address: startEcho(t)}})
			if secure {
				cfg.Listeners[0].Cert, cfg.Listeners[0].Key = ca.issue(t, "ws", 3, "127.0.0.1")
			}
			r := start(t, cfg)
			c, err := net.Dial("tcp", r.addr)
			if secure && err == nil {
				c, err = tls.Dial("tcp", r.addr, &tls.Config{RootCAs: ca.pool()})
			}
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			_, _ = io.WriteString(c, upgradeRequest+"first ")
			br := bufio.NewReader(c)
			head := readHead(br)
			for _, want := range []string{"HTTP/1.1 101 Go\r\n", "\r\nConnection: Upgrade\r\n", "\r\nUpgrade: websocket\r\n", "\r\nSec-WebSocket-Accept: a\r\n"} {
				if !strings.Contains(head, want) {
					t.Fatalf("got %q", head)
				}
			}
			want := "welcome first "
			for _, text := range []string{"", "second ", strings.Repeat("third ", 50_000)} {
				go func() { _, _ = io.WriteString(c, text) }()
				want += text
				got := make([]byte, len(want))
				if _, err := io.ReadFull(br, got); err != nil || string(got) != want {
					t.Fatalf("%.50q, %v", got, err)
				}
				want = ""
			}
			if n := r.live.Load().pools[0].tunnels.Load(); n != 1 {
				t.Errorf("%d tunnels", n)
			}
			if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if rest, err := io.ReadAll(br); err != nil || string(rest) != "bye" {
				t.Errorf("after our end: %q, %v", rest, err)
			}
			_ = c.Close()
			pool := r.live.Load().pools[0]
			eventually(t, "the tunnel is gone", func() bool { return pool.tunnels.Load() == 0 && pool.ups[0].InFlight() == 0 })
			if up, down := pool.tunnelUp.Load(), pool.tunnelDown.Load(); up != 300_013 || down != 300_013+8+3 {
				t.Errorf("%d bytes up, %d down", up, down)
			}
		})
	}
}

// TestUpgradeEnds: a silent tunnel ends, one whose side breaks ends, and none outlives the proxy.
func TestUpgradeEnds(t *testing.T) {
	open := func(t *testing.T, tune func(*Options)) (*running, net.Conn, *bufio.Reader) {
		r := start(t, plainConfig([]Member{{Address: startEcho(t)}}), tune)
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(c, upgradeRequest)
		br := bufio.NewReader(c)
		if head := readHead(br); !strings.HasPrefix(head, "HTTP/1.1 101 ") {
			t.Fatalf("got %q", head)
		}
		if _, err := io.ReadFull(br, make([]byte, len("welcome "))); err != nil {
			t.Fatal(err)
		}
		return r, c, br
	}
	idle := func(r *running) bool {
		return r.live.Load().pools[0].tunnels.Load() == 0 && r.listeners[0].conns.len() == 0
	}
	t.Run("silence", func(t *testing.T) {
		r, _, br := open(t, func(o *Options) { o.TunnelTimeout = 100 * ms })
		if _, err := io.ReadAll(br); err != nil {
			t.Errorf("the end was %v", err)
		}
		eventually(t, "it is gone", func() bool { return idle(r) })
	})
	t.Run("the client breaks", func(t *testing.T) {
		r, c, _ := open(t, func(*Options) {})
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
		eventually(t, "it is gone", func() bool { return idle(r) })
	})
	t.Run("the proxy stops", func(t *testing.T) {
		r, _, _ := open(t, func(o *Options) { o.DrainTimeout = 50 * ms })
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestUpgradeRefused: what is not WebSocket is not asked of the member, and a member cannot change
// protocols on its own.
func TestUpgradeRefused(t *testing.T) {
	m, addr := startMirror(t, okAnswer)
	r := start(t, plainConfig([]Member{{Address: addr}}))
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: x\r\nConnection: close, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nConnection: close, Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUpgrade: websocket\r\n\r\n",
		"GET / HTTP/1.0\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx",
	} {
		if out := raw(t, r.addr, request); !strings.HasPrefix(out, "HTTP/1.1 200 ") || strings.Contains(m.last(), "pgrade") {
			t.Errorf("%q: the member got %q, the client %q", request, m.last(), out)
		}
	}
	_, rogue := startMirror(t, "HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	r2 := start(t, plainConfig([]Member{{Address: rogue}}))
	if out := raw(t, r2.addr, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(out, "HTTP/1.1 502 ") {
		t.Errorf("101 unasked: %q", out)
	}
}
