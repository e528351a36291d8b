package lb

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"switchpoint/internal/covers"
)

// helloOf is what crypto/tls sends first for a server name.
func helloOf(t testing.TB, name string, alpn ...string) []byte {
	t.Helper()
	client, server := net.Pipe()
	defer server.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = tls.Client(client, &tls.Config{ServerName: name, NextProtos: alpn, InsecureSkipVerify: true}).Handshake()
		_ = client.Close()
	}()
	head := make([]byte, 5)
	if _, err := io.ReadFull(server, head); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint16(head[3:]))
	if _, err := io.ReadFull(server, body); err != nil {
		t.Fatal(err)
	}
	_ = server.Close()
	<-done
	return slices.Concat(head, body)
}

// fragmented cuts the one record of a message into records of n bytes.
func fragmented(hello []byte, n int) []byte {
	var out []byte
	for body := hello[5:]; len(body) > 0; {
		k := min(n, len(body))
		out = append(out, hello[0], hello[1], hello[2], byte(k>>8), byte(k))
		out = append(out, body[:k]...)
		body = body[k:]
	}
	return out
}

// helloWith is a ClientHello made by hand with these extensions.
func helloWith(extensions string) []byte {
	body := "\x03\x03" + strings.Repeat("r", 32) + "\x00" + "\x00\x02\x13\x01" + "\x01\x00"
	if extensions != "" {
		body += string(binary.BigEndian.AppendUint16(nil, uint16(len(extensions)))) + extensions
	}
	message := append([]byte{clientHello, 0}, binary.BigEndian.AppendUint16(nil, uint16(len(body)))...)
	message = append(message, body...)
	record := binary.BigEndian.AppendUint16([]byte{recordHandshake, 3, 1}, uint16(len(message)))
	return append(record, message...)
}

func extension(kind uint16, data string) string {
	b := binary.BigEndian.AppendUint16(nil, kind)
	return string(binary.BigEndian.AppendUint16(b, uint16(len(data)))) + data
}

func sni(entries string) string {
	return extension(serverName, string(binary.BigEndian.AppendUint16(nil, uint16(len(entries))))+entries)
}

func sniName(kind byte, name string) string {
	return string(append([]byte{kind}, binary.BigEndian.AppendUint16(nil, uint16(len(name)))...)) + name
}

func TestHelloName(t *testing.T) {
	plain := helloOf(t, "rdp.company.com")
	big := helloOf(t, "rdp.company.com", strings.Split(strings.Repeat(strings.Repeat("p", 200)+",", 60), ",")[:60]...)
	if len(big) < 10_000 {
		t.Fatalf("only %d bytes", len(big))
	}
	tests := []struct {
		name string
		in   []byte
		want string
	}{
		{"crypto/tls", plain, "rdp.company.com"},
		{"no name", helloOf(t, ""), ""},
		{"an address is no name", helloOf(t, "192.0.2.1"), ""},
		{"large", big, "rdp.company.com"},
		{"records of a byte", fragmented(plain, 1), "rdp.company.com"},
		{"records of 7 bytes", fragmented(plain, 7), "rdp.company.com"},
		{"a record behind it", append(bytes.Clone(plain), 20, 3, 3, 0, 1, 1), "rdp.company.com"},
		{"by hand", helloWith(extension(10, "\x00\x02\x00\x1d") + sni(sniName(0, "a.b"))), "a.b"},
		{"case is kept for the log", helloWith(sni(sniName(0, "A.B"))), "A.B"},
		{"another kind of name first", helloWith(sni(sniName(9, "x") + sniName(0, "a.b"))), "a.b"},
		{"only another kind", helloWith(sni(sniName(9, "x"))), ""},
		{"empty name", helloWith(sni(sniName(0, ""))), ""},
		{"name with a line end", helloWith(sni(sniName(0, "a\r\nb"))), ""},
		{"name too long", helloWith(sni(sniName(0, strings.Repeat("a", 256)))), ""},
		{"list longer than the extension", helloWith(extension(0, "\x00\x09\x00\x00\x01a")), ""},
		{"bytes behind the list", helloWith(extension(0, "\x00\x04\x00\x00\x01aX")), ""},
		{"name longer than the list", helloWith(extension(0, "\x00\x04\x00\x00\x09a")), ""},
		{"no extensions (SSL 3, TLS 1.0)", helloWith(""), ""},
		{"extension longer than the message", helloWith("\x00\x0a\xff\xff"), ""},
		{"HTTP", []byte("GET / HTTP/1.1\r\n"), ""},
		{"SSH", []byte("SSH-2.0-x\r\n"), ""},
		{"RDP without TLS", []byte("\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x00\x00\x00\x00"), ""},
		{"SSL 2", []byte("\x80\x2e\x01\x00\x02"), ""},
		{"an alert", []byte{21, 3, 1, 0, 2, 1, 0}, ""},
		{"a ServerHello", append([]byte{22, 3, 3, 0, 4, 2}, 0, 0, 0), ""},
		{"empty record", []byte{22, 3, 1, 0, 0}, ""},
		{"record too long", []byte{22, 3, 1, 0x40, 1}, ""},
		{"something else after half of it", append(fragmented(plain, 30)[:70], 23, 3, 3), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, decided := helloName(tt.in)
			if got != tt.want || !decided {
				t.Errorf("got %q, decided %v", got, decided)
			}
			// Whatever came before the decision gave no answer, and none that was taken back.
			for n := range tt.in {
				early, known := helloName(tt.in[:n])
				if known && early != tt.want || !known && early != "" {
					t.Fatalf("%q, decided %v, after %d bytes", early, known, n)
				}
			}
		})
	}
	if _, decided := helloName(plain[:40]); decided {
		t.Error("decided by the beginning")
	}
}

func FuzzClientHello(f *testing.F) {
	plain := helloOf(f, "rdp.company.com")
	for _, seed := range [][]byte{plain, fragmented(plain, 3), plain[:50], helloOf(f, ""), helloWith(""),
		helloWith(sni(sniName(9, "x") + sniName(0, "a.b"))), helloWith("\x00\x00\xff\xff"), []byte("GET / HTTP/1.1\r\n"), {22, 3}, nil} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		in = in[:min(len(in), maxHello)]
		name, decided := helloName(in)
		if name != "" && !decided {
			t.Fatalf("%q before the decision", name)
		}
		if len(name) > maxHost || strings.ContainsAny(name, "\r\n\x00\"\\ ") {
			t.Fatalf("name %q", name)
		}
		if !decided {
			return
		}
		if again, ok := helloName(append(bytes.Clone(in), "more"...)); again != name || !ok {
			t.Fatalf("%q became %q when more came", name, again)
		}
	})
}

// TestHelloLikeServers: what crypto/tls's server reads as a name is what the client is routed by,
// for messages with a few bytes changed. It is no part of the fuzz target, whose engine takes the
// varying paths through crypto/tls for discoveries.
func TestHelloLikeServers(t *testing.T) {
	plain := helloOf(t, "rdp.company.com")
	read := 0
	rapid.Check(t, func(t *rapid.T) {
		in := bytes.Clone(plain)
		for range rapid.IntRange(0, 3).Draw(t, "changes") {
			in[rapid.IntRange(5, len(in)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		in = fragmented(in, rapid.IntRange(1, len(in)).Draw(t, "record"))
		name, _ := helloName(in)
		if want, ok := serverReads(in); ok {
			read++
			if printable([]byte(want)) != name {
				t.Fatalf("routed by %q, a server reads %q", name, want)
			}
		}
	})
	if read == 0 {
		t.Error("the server could read none")
	}
}

// serverReads gives the name that crypto/tls's server reads.
func serverReads(in []byte) (name string, ok bool) {
	_ = tls.Server(helloConn{bytes.NewReader(in)}, &tls.Config{
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			name, ok = h.ServerName, true
			return nil, errors.New("enough")
		},
	}).HandshakeContext(context.Background())
	return name, ok
}

// helloConn is a client that says what it says and takes everything.
type helloConn struct{ io.Reader }

func (helloConn) Write(p []byte) (int, error)      { return len(p), nil }
func (helloConn) Close() error                     { return nil }
func (helloConn) LocalAddr() net.Addr              { return nil }
func (helloConn) RemoteAddr() net.Addr             { return nil }
func (helloConn) SetDeadline(time.Time) error      { return nil }
func (helloConn) SetReadDeadline(time.Time) error  { return nil }
func (helloConn) SetWriteDeadline(time.Time) error { return nil }

// sniConfig routes two names and has a third member for everything else.
func sniConfig(one, two, rest string) Config {
	cfg := tcpConfig(Member{Name: "rest", Address: rest})
	cfg.Pools = append(cfg.Pools,
		Pool{Name: "one", Persistence: "none", Members: []Member{{Name: "one", Address: one}}},
		Pool{Name: "two", Persistence: "none", Members: []Member{{Name: "two", Address: two}}})
	cfg.Listeners[0].Routes = []Route{{Host: "rdp.company.com", Pool: "one"}, {Host: "*.apps.company.com", Pool: "two"}}
	return cfg
}

// startSecure is a TLS server with its own certificate that echoes.
func startSecure(t *testing.T, ca *authority, name string, serial int64, hosts ...string) string {
	t.Helper()
	cert, key := ca.issue(t, name, serial, hosts...)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "x"}}
	return startService(t, func(c *net.TCPConn) {
		tc := tls.Server(c, cfg)
		_, _ = io.Copy(tc, tc)
		_ = tc.CloseWrite()
	}).addr
}

// TestTCPServerNames: TLS goes through untouched, to the pool of the name that the client asks for.
func TestTCPServerNames(t *testing.T) {
	covers.Req(t, "LB10")
	ca := newAuthority(t)
	one := startSecure(t, ca, "one", 31, "rdp.company.com")
	two := startSecure(t, ca, "two", 32, "*.apps.company.com", "mail.apps.company.com")
	rest := startSecure(t, ca, "rest", 33, "other.company.com", "192.0.2.1")
	r := start(t, sniConfig(one, two, rest))
	long := strings.Split(strings.Repeat(strings.Repeat("p", 250)+",", 50), ",")[:50]
	tests := []struct {
		what, name string
		alpn       []string
		step       int // bytes of each write of the first message; 0: all at once
		serial     int64
	}{
		{"exact", "rdp.company.com", nil, 0, 31},
		{"in capitals", "RDP.Company.Com", nil, 0, 31},
		{"wild", "mail.apps.company.com", nil, 0, 32},
		{"unknown", "other.company.com", nil, 0, 33},
		{"none", "192.0.2.1", nil, 0, 33},
		{"byte by byte", "rdp.company.com", nil, 1, 31},
		{"large", "rdp.company.com", append(long, "x"), 0, 31},
		{"large in pieces", "mail.apps.company.com", append(long, "h2"), 1000, 32},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			c := tls.Client(&dribble{TCPConn: dial(t, r.addr), step: tt.step},
				&tls.Config{ServerName: tt.name, RootCAs: ca.pool(), NextProtos: tt.alpn})
			if err := c.Handshake(); err != nil {
				t.Fatal(err)
			}
			st := c.ConnectionState()
			if n := st.PeerCertificates[0].SerialNumber.Int64(); n != tt.serial {
				t.Errorf("certificate %d, want %d", n, tt.serial)
			}
			if len(tt.alpn) > 0 && st.NegotiatedProtocol != tt.alpn[len(tt.alpn)-1] {
				t.Errorf("protocol %q", st.NegotiatedProtocol)
			}
			say(t, c, "hello\n")
			if got := line(t, c); got != "hello" {
				t.Errorf("got %q", got)
			}
		})
	}
}

// TestExplainName: Explain says what route a name in TLS takes.
func TestExplainName(t *testing.T) {
	dead := deadAddress(t)
	r := start(t, sniConfig(dead, dead, dead))
	for _, tt := range []struct{ name, path, route, pool string }{
		{"", "", "default", "brokers"},
		{"elsewhere.com", "", "default", "brokers"},
		{"RDP.company.com", "", "rdp.company.com, by the name in TLS", "one"},
		{"mail.apps.company.com", "", "*.apps.company.com, by the name in TLS", "two"},
		{"rdp.company.com:443", "", "", ""},
		{"rdp.company.com", "/index.pl?action=is_alive", "", ""}, // nothing is answered here
	} {
		e := r.ExplainRequest("front", loopback, tt.name, tt.path)
		if e.Route != tt.route || e.Pool != tt.pool || (tt.pool == "") != strings.HasPrefix(e.Reason, "a tcp listener knows names only") {
			t.Errorf("%q: route %q, pool %q, %s", tt.name, e.Route, e.Pool, e.Reason)
		}
	}
}

// dribble writes the first message in small pieces.
type dribble struct {
	*net.TCPConn
	step int
}

func (d *dribble) Write(p []byte) (int, error) {
	if d.step == 0 {
		return d.TCPConn.Write(p)
	}
	n := 0
	for n < len(p) {
		k, err := d.TCPConn.Write(p[n:min(n+d.step, len(p))])
		n += k
		if err != nil {
			return n, err
		}
	}
	d.step = 0
	return n, nil
}

// TestTCPNotTLS: what names no server goes to the listener's own pool with every byte.
func TestTCPNotTLS(t *testing.T) {
	s := startService(t, echo)
	dead := deadAddress(t)
	r := start(t, sniConfig(dead, dead, s.addr))
	giant := helloWith(extension(21, strings.Repeat("\x00", maxHello)) + sni(sniName(0, "rdp.company.com")))[:maxHello+100]
	for what, in := range map[string]string{
		"HTTP":            "GET / HTTP/1.1\r\n\r\n",
		"half of a hello": string(helloOf(t, "rdp.company.com")[:60]),
		"more than is looked at, the name behind": string(giant),
	} {
		t.Run(what, func(t *testing.T) {
			c := dial(t, r.addr)
			say(t, c, in)
			if err := c.CloseWrite(); err != nil { // with half a message this is what decides
				t.Fatal(err)
			}
			if out, err := io.ReadAll(c); err != nil || string(out) != in {
				t.Errorf("%d of %d bytes came back: %v", len(out), len(in), err)
			}
		})
	}
	t.Run("gone before a word", func(t *testing.T) {
		before := s.accepted()
		c := dial(t, r.addr)
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if out, err := io.ReadAll(c); len(out) > 0 || err != nil {
			t.Errorf("got %q, %v", out, err)
		}
		if n := s.accepted(); n != before {
			t.Errorf("the member was bothered")
		}
		r.ended(t, "none", unused)
	})
}

// TestSilentClient: a client that waits for its server to speak gets it when the look is over.
func TestSilentClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		began := time.Now()
		name, got, err := readHello(server, []byte("\x16\x03"))
		if name != "" || string(got) != "\x16\x03" || err != nil || time.Since(began) != helloTime {
			t.Errorf("%q, %q, %v after %v", name, got, err, time.Since(began))
		}
		go func() { _, _ = client.Write([]byte("late")) }()
		time.Sleep(time.Minute) // the deadline of the look is not left behind
		if n, err := server.Read(got[:4]); n != 4 || err != nil {
			t.Errorf("then %d bytes, %v", n, err)
		}
		_ = client.Close()
		if _, _, err := readHello(server, nil); err == nil {
			t.Error("no error for a client that is gone")
		}
	})
}
