package lb

import (
	"io"
	"net"
	"runtime"
	"testing"
	"time"
)

// TestIdleMemory: clients that are connected and silent cost little, and so do those that stop in
// the middle of a head. The figures are heap and stacks of one process with both ends in it; 150 MB
// for 10,000 idle and for 5,000 slow clients are 15 and 30 KB for each.
func TestIdleMemory(t *testing.T) {
	const clients = 1000
	for _, tt := range []struct {
		name, send string
		answered   bool
		limit      int // bytes for each
	}{
		{"idle", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", true, 15 << 10},
		{"half a head", "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", false, 30 << 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := startBackend(t, says("a"))
			r := start(t, plainConfig(members(a)))
			before := inUse()
			for range clients {
				c, err := net.Dial("tcp", r.addr)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = c.Close() })
				_, _ = io.WriteString(c, tt.send)
				if tt.answered {
					_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
					if _, err := c.Read(make([]byte, 512)); err != nil {
						t.Fatal(err)
					}
				}
			}
			eventually(t, "all are there", func() bool { return r.listeners[0].conns.len() == clients })
			if each := (inUse() - before) / clients; each > tt.limit && !raceDetector {
				t.Errorf("%d bytes for each client", each)
			}
		})
	}
}

// inUse is heap and stacks after a collection.
func inUse() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapInuse + m.StackInuse) // #nosec G115 -- bytes of this process
}
