package healthcheck

import (
	"net"
	"strings"
	"testing"
)

// TestSendProxy: the header stands before everything else, TLS included, once for each connection.
func TestSendProxy(t *testing.T) {
	v2 := string([]byte{0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a, 0x20, 0x00, 0x00, 0x00})
	for version, header := range map[string]string{"v1": "PROXY UNKNOWN\r\n", "v2": v2, "": ""} {
		for kind, rest := range map[string]string{"http": "GET /x HTTP/1.1\r\n", "https": "\x16\x03\x01", "tcp": "hello"} {
			got := make(chan string, 1)
			m := quick(kind)
			m.SendProxy, m.Send = version, "GET /x"
			if kind == "tcp" {
				m.Send = "hello"
			}
			Probe(t.Context(), m, responder(t, func(c net.Conn) {
				b := make([]byte, 4096)
				n, _ := c.Read(b)
				if n == len(header) && n > 0 { // the rest came in a packet of its own
					k, _ := c.Read(b[n:])
					n += k
				}
				got <- string(b[:n])
			}), Settings{})
			if first := <-got; !strings.HasPrefix(first, header+rest) {
				t.Errorf("%s with send_proxy %q begins with %q", kind, version, first)
			}
		}
	}
	for _, m := range []Monitor{{Name: "m", Kind: "tcp", SendProxy: "v3"}, {Name: "m", Kind: "icmp", SendProxy: "v1"}} {
		cfg := Config{Monitors: []Monitor{m}}
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "send_proxy") {
			t.Errorf("%+v: %v", m, err)
		}
	}
}
