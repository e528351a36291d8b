package lb

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSlowAfterContinue: what the wait for a member's 100 Continue is bounded by bounds nothing
// else: not the wait for the answer, not its body, not the connection's next request.
func TestSlowAfterContinue(t *testing.T) {
	const late = continueWait + 300*ms
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
	for name, answer := range map[string]func(c net.Conn, br *bufio.Reader){
		"a slow answer": func(c net.Conn, br *bufio.Reader) {
			_, _ = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
			_, _ = io.ReadFull(br, make([]byte, 5))
			<-time.After(late)
			_, _ = io.WriteString(c, head+strings.Repeat("x", 100000))
		},
		"a slow body": func(c net.Conn, br *bufio.Reader) {
			_, _ = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
			_, _ = io.ReadFull(br, make([]byte, 5))
			_, _ = io.WriteString(c, head)
			<-time.After(late)
			_, _ = io.WriteString(c, strings.Repeat("x", 100000))
		},
		"the next request": func(c net.Conn, br *bufio.Reader) {
			_, _ = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
			_, _ = io.ReadFull(br, make([]byte, 5))
			_, _ = io.WriteString(c, head+strings.Repeat("x", 100000))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := serveRaw(t, func(c net.Conn) {
				br := bufio.NewReader(c)
				for strings.HasPrefix(readHead(br), "PUT ") {
					answer(c, br)
				}
				_, _ = io.WriteString(c, "HTTP/1.1 204 OK\r\n\r\n")
			})
			r := start(t, plainConfig([]Member{{Address: addr}}))
			c, err := net.Dial("tcp", r.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			_, _ = io.WriteString(c, "PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
			br := bufio.NewReader(c)
			if head := readHead(br); !strings.HasPrefix(head, "HTTP/1.1 100 ") {
				t.Fatalf("got %q", head)
			}
			_, _ = io.WriteString(c, "hello")
			resp, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 || len(body) != 100000 {
				t.Fatalf("got %s and %d bytes, %v", resp.Status, len(body), err)
			}
			if name == "the next request" {
				<-time.After(late)
			}
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			if head := readHead(br); !strings.HasPrefix(head, "HTTP/1.1 204 ") {
				t.Errorf("the next request got %q", head)
			}
		})
	}
}

// brokenConn is a connection that nothing can be written to.
type brokenConn struct{ net.Conn }

// Write fails.
func (brokenConn) Write([]byte) (int, error) { return 0, syscall.EPIPE }

// TestUnsentBody: a member may answer and break the connection before it could be sent anything.
// What was not read of the request's body must not be read as the next request.
func TestUnsentBody(t *testing.T) {
	r := start(t, plainConfig([]Member{{Address: "127.0.0.1:1"}}))
	ex := &exchange{p: r.Proxy, client: &clientConn{}, body: requestBody{framing: frameLength, left: 5}}
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := ex.startUpload(&upConn{wire: wire{Conn: brokenConn{conn}, sock: conn.(*net.TCPConn)}}); err != nil {
		t.Fatal(err) // an answer may be there
	}
	ex.settleUpload()
	if !ex.closing || !ex.upClose || !ex.client.linger {
		t.Errorf("the client's connection ends: %v, after it could read the answer: %v, the member's ends: %v", ex.closing, ex.client.linger, ex.upClose)
	}
}

// TestHalfSentConnection: a connection on which a body was not sent to its end is not used again,
// even where the client had sent all of it.
func TestHalfSentConnection(t *testing.T) {
	for name, fault := range map[string]error{"the member broke": errors.New("broken pipe"), "stopped": errTimedOut} {
		up := &upload{conn: &upConn{}, done: make(chan struct{}), err: fault}
		close(up.done)
		up.last.Store(true)
		ex := &exchange{client: &clientConn{}, upload: up} // a body that ended
		ex.stopUpload()
		if !ex.upClose || !ex.closing {
			t.Errorf("%s: the member's connection is closed: %v, the client's: %v", name, ex.upClose, ex.closing)
		}
	}
}

// TestLongUploadLimit: however much of a body there is, its limit is reckoned right.
func TestLongUploadLimit(t *testing.T) {
	for _, got := range []int64{0, 1 << 20, 10 << 30, 1 << 50, 1 << 62} {
		b := requestBody{got: got}
		if limit := b.limit(int64(time.Second), 30*time.Second, 0); limit < 29*time.Second || limit > 30*time.Second {
			t.Errorf("%s after %d bytes in a second", limit, got)
		}
	}
	b := requestBody{got: 512 * 60}
	if limit := b.limit(int64(100*time.Second), 30*time.Second, 0); limit != 0 {
		t.Errorf("%s for one that is too slow", limit)
	}
}

// TestTunnelLog: what goes through a tunnel does not get into the line of its request.
func TestTunnelLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	cfg := plainConfig([]Member{{Address: startEcho(t)}})
	cfg.Listeners[0].AccessLog, cfg.Listeners[0].AccessLogSample = path, 1
	r := start(t, cfg)
	const tunnels = 20
	for n := range tunnels {
		first := strings.Repeat("pipelined", n%2)
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(c, upgradeRequest+first)
		br := bufio.NewReader(c)
		readHead(br)
		const secret = "secret "
		for range 10 {
			_, _ = io.WriteString(c, strings.Repeat(secret, 500))
			if _, err := io.CopyN(io.Discard, br, int64(len(secret)*500)); err != nil {
				t.Fatal(err)
			}
		}
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, br)
		_ = c.Close()
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(log), "secret") || strings.Count(string(log), `"method":"GET","host":"x","path":"/ws"`) != tunnels {
		t.Errorf("%q, %v", log, err)
	}
}

// TestCutAfterEarlyAnswer: an answer that breaks off must not look whole to a client that knows its
// end only from the connection's, whatever else ends that connection.
func TestCutAfterEarlyAnswer(t *testing.T) {
	addr := serveRaw(t, func(c net.Conn) {
		br := bufio.NewReader(c)
		readHead(br)
		_, _ = io.WriteString(c, "HTTP/1.1 413 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel")
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, br)
	})
	r := start(t, plainConfig([]Member{{Address: addr}}))
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(c, "POST / HTTP/1.0\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc")
	if out, err := io.ReadAll(c); err == nil {
		t.Errorf("%q looks like a whole answer", out)
	}
}

// TestClientsFault: a client that breaks its own upload while an answer comes is not held against
// the member.
func TestClientsFault(t *testing.T) {
	addr := serveRaw(t, func(c net.Conn) {
		br := bufio.NewReader(c)
		readHead(br)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
		_, _ = io.Copy(io.Discard, br)
	})
	r := start(t, plainConfig([]Member{{Address: addr}}))
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
	br := bufio.NewReader(c)
	readHead(br)
	_, _ = io.WriteString(c, "not a chunk")
	_, _ = io.Copy(io.Discard, br)
	eventually(t, "in flight 0", func() bool { return r.Explain("front", loopback).Members[0].InFlight == 0 })
	if failing := r.Explain("front", loopback).Members[0].Failing; failing != 0 {
		t.Errorf("%v of the member's requests failed", failing)
	}
}
