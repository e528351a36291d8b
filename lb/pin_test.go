package lb

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"switchpoint/internal/covers"
)

// startNTLM is a member that authenticates connections, as NTLM does: after the handshake every
// request on the connection is the user's.
func startNTLM(t *testing.T, name string) (addr string) {
	return serveRaw(t, func(c net.Conn) {
		br := bufio.NewReader(c)
		user, step := "", 0
		for {
			req, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			status, head := "200 OK", ""
			switch auth := req.Header.Get("Authorization"); {
			case strings.HasPrefix(auth, "NTLM user="):
				if step != 1 {
					status = "400 The handshake is not on this connection"
				}
				user, step = strings.TrimPrefix(auth, "NTLM user="), 2
			case auth == "NTLM hello":
				step, status, head = 1, "401 Challenge", "WWW-Authenticate: NTLM challenge\r\n"
			case req.URL.Path == "/secret" && user == "":
				status, head = "401 Who", "WWW-Authenticate: Negotiate\r\nWWW-Authenticate: NTLM\r\n"
			}
			body := name + " " + user
			if _, err := fmt.Fprintf(c, "HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s", status, head, len(body), body); err != nil {
				return
			}
		}
	})
}

// TestNTLM: a connection that carries a user's authentication is that client's alone, the
// requests of the client stay on it, and it ends with the client.
func TestNTLM(t *testing.T) {
	covers.Req(t, "LB5")
	r := start(t, plainConfig([]Member{{Address: startNTLM(t, "a")}, {Address: startNTLM(t, "b")}}))
	type browser struct {
		c  net.Conn
		br *bufio.Reader
	}
	dial := func() *browser {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		return &browser{c, bufio.NewReader(c)}
	}
	ask := func(b *browser, auth string) (int, string) {
		t.Helper()
		if auth != "" {
			auth = "Authorization: " + auth + "\r\n"
		}
		_, _ = io.WriteString(b.c, "GET /secret HTTP/1.1\r\nHost: x\r\n"+auth+"\r\n")
		resp, err := http.ReadResponse(b.br, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	alice, bob := dial(), dial()
	if status, _ := ask(alice, ""); status != 401 {
		t.Fatalf("status %d", status)
	}
	if status, _ := ask(alice, "NTLM hello"); status != 401 {
		t.Fatalf("status %d", status)
	}
	_, hers := ask(alice, "NTLM user=alice")
	if !strings.HasSuffix(hers, " alice") {
		t.Fatalf("got %q", hers)
	}
	for range 4 { // round robin would go elsewhere
		if status, body := ask(alice, ""); status != 200 || body != hers {
			t.Errorf("alice got %d %q, want %q", status, body, hers)
		}
		if status, body := ask(bob, ""); status != 401 || strings.Contains(body, "alice") {
			t.Errorf("bob got %d %q", status, body)
		}
	}
	_ = alice.c.Close()
	_ = bob.c.Close()
	eventually(t, "they are gone", func() bool { return r.listeners[0].conns.len() == 0 })
	for range 4 {
		carol := dial()
		if status, body := ask(carol, ""); status != 401 {
			t.Errorf("carol got %d %q", status, body)
		}
	}
}

func TestBindsConnection(t *testing.T) {
	for value, want := range map[string]bool{
		"NTLM": true, "ntlm TlRMTVNTUAAB": true, "Negotiate": true, "NEGOTIATE YII=": true,
		`Basic realm="a, b", NTLM`: true, "Basic Og==": false, "Bearer ntlm": false, "": false,
		`Digest realm="x", nonce="y", Negotiate`: true, "NTLMv3": false, ",": false,
	} {
		if got := bindsConnection([]byte(value)); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
}
