package lb

import (
	"io"
	"net"
	"testing"
)

// BenchmarkTCPStream moves one stream through a tcp listener, beside one that goes straight to the
// member. Client, balancer and member share the process here: for a comparison with another
// balancer give each its own, pinned.
func BenchmarkTCPStream(b *testing.B) {
	s := startService(b, func(c *net.TCPConn) { _, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, c, make([]byte, 256<<10)) })
	r := start(b, tcpConfig(services(s)...))
	for name, addr := range map[string]string{"proxied": r.addr, "straight": s.addr} {
		b.Run(name, func(b *testing.B) {
			c := dial(b, addr)
			chunk := make([]byte, 256<<10)
			b.SetBytes(int64(len(chunk)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Write(chunk); err != nil {
					b.Fatal(err)
				}
			}
			_ = c.CloseWrite()
			_, _ = io.ReadAll(c) // until all has arrived
		})
	}
}

// BenchmarkTCPConnection opens a connection, has a line echoed, and closes it.
func BenchmarkTCPConnection(b *testing.B) {
	s := startService(b, echo)
	r := start(b, tcpConfig(services(s)...))
	b.ReportAllocs()
	for b.Loop() {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			b.Fatal(err)
		}
		say(b, c, "x\n")
		line(b, c)
		_ = c.Close()
	}
}
