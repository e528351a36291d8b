package healthcheck

import (
	"context"
	"net"
	"testing"
	"time"
)

// benchTarget is the raw target of the probe benchmarks: it answers every request on a connection.
func benchTarget(b *testing.B) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 4096)
				for {
					if _, err := c.Read(buf); err != nil {
						return
					}
					_, _ = c.Write([]byte(alive + "\r\nCB_IS_OKAY"))
				}
			}()
		}
	}()
	return l.Addr().String()
}

func benchProbe(b *testing.B, every int) {
	addr := benchTarget(b)
	table, err := Compile(Config{Monitors: []Monitor{{Name: "m", Kind: "http"}}})
	if err != nil {
		b.Fatal(err)
	}
	l := &lines{by: make(map[lineKey]*line), max: 10}
	l.every.Store(int64(every))
	defer l.end()
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), linesKey{}, l))
	defer cancel()
	b.ReportAllocs()
	for b.Loop() {
		if r := table.monitors["m"].probe(ctx, addr); r.State != Up {
			b.Fatal(r.Reason)
		}
	}
}

// BenchmarkProbeFresh is one whole http probe on a new connection over loopback, with the target's
// work in the same process.
func BenchmarkProbeFresh(b *testing.B) { benchProbe(b, 1) }

// BenchmarkProbeKept is the same on a connection that stays open.
func BenchmarkProbeKept(b *testing.B) { benchProbe(b, 1<<40) }

// BenchmarkEngineTurn is what the engine adds to one probe: wheel, crew, judging, publishing.
func BenchmarkEngineTurn(b *testing.B) {
	ask := func(context.Context, string) Result {
		return Result{State: Up, Reason: "ok", TTFB: 1, Load: noLoad}
	}
	e := New(Options{})
	t := tableOf(Settings{}, Monitor{Interval: time.Second, Timeout: time.Millisecond}, ask)
	for i := range 100_000 {
		t.checks = append(t.checks, Key{net.IPv4(10, byte(i>>16), byte(i>>8), byte(i)).String() + ":1", "m"})
	}
	e.SetTable(t)
	e.crew.begin(context.Background(), func(context.Context, *check) {})
	var all []*check
	for _, c := range e.checks {
		all = append(all, c)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		c := all[i%len(all)]
		e.mu.Lock()
		if c.place == waiting {
			e.wheel.remove(c)
			c.place = queued
		}
		e.mu.Unlock()
		e.probe(context.Background(), c)
		i++
	}
}
