//go:build linux

package lb

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"switchpoint/internal/covers"
)

// TestDisconnect: a client that goes away while a member is waited for ends the request there.
func TestDisconnect(t *testing.T) {
	covers.Req(t, "LB5")
	ca := newAuthority(t)
	for _, tt := range []struct {
		name          string
		secure, reset bool
		request       string
	}{
		{name: "closes", request: "GET / HTTP/1.1\r\nHost: x\r\n\r\n"},
		{name: "breaks", reset: true, request: "GET / HTTP/1.1\r\nHost: x\r\n\r\n"},
		{name: "breaks, HTTP/1.0", reset: true, request: "GET / HTTP/1.0\r\nHost: x\r\n\r\n"},
		{name: "closes, TLS", secure: true, request: "GET / HTTP/1.1\r\nHost: x\r\n\r\n"},
		{name: "closes within an upload", request: "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc"},
		{name: "breaks within an upload", reset: true, request: "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			here, gone := make(chan struct{}), make(chan struct{})
			a := startBackend(t, http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
				close(here)
				_, _ = io.Copy(io.Discard, req.Body)
				<-req.Context().Done()
				close(gone)
			}))
			cfg := plainConfig(members(a))
			if tt.secure {
				cfg.Listeners[0].Cert, cfg.Listeners[0].Key = ca.issue(t, "x", 3, "127.0.0.1")
			}
			r := start(t, cfg)
			c, err := net.Dial("tcp", r.addr)
			if err != nil {
				t.Fatal(err)
			}
			sock := c.(*net.TCPConn)
			if tt.secure {
				c = tls.Client(c, &tls.Config{RootCAs: ca.pool(), ServerName: "127.0.0.1"})
			}
			if _, err := io.WriteString(c, tt.request); err != nil {
				t.Fatal(err)
			}
			<-here
			if tt.reset {
				_ = sock.SetLinger(0)
			}
			_ = c.Close()
			select {
			case <-gone:
			case <-time.After(5 * time.Second):
				t.Error("the member was not told")
			}
			eventually(t, "nothing is left", func() bool {
				m := r.Explain("front", loopback).Members[0]
				return m.InFlight == 0 && m.Failing == 0 && r.listeners[0].conns.len() == 0
			})
		})
	}
}

// TestHalfClosed: a client that has only closed its sending side gets its answer.
func TestHalfClosed(t *testing.T) {
	for _, version := range []string{"HTTP/1.1", "HTTP/1.0"} {
		t.Run(version, func(t *testing.T) {
			here, goOn := make(chan struct{}), make(chan struct{})
			a := startBackend(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				close(here)
				<-goOn
				_, _ = io.WriteString(w, "done")
			}))
			r := start(t, plainConfig(members(a)))
			c, err := net.Dial("tcp", r.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			_, _ = io.WriteString(c, "GET / "+version+"\r\nHost: x\r\n\r\n")
			<-here
			if err := c.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			br := bufio.NewReader(c)
			if version == "HTTP/1.1" { // it was asked whether it is there
				if head := readHead(br); head != "HTTP/1.1 102 Processing\r\n\r\n" {
					t.Errorf("got %q", head)
				}
			} else {
				<-time.After(2 * r.watchEvery())
			}
			close(goOn)
			out, err := io.ReadAll(br)
			if err != nil || !strings.HasPrefix(string(out), "HTTP/1.1 200 ") || !strings.HasSuffix(string(out), "\r\n\r\ndone") {
				t.Errorf("got %q, %v", out, err)
			}
		})
	}
}
