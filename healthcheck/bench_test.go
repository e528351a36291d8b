package healthcheck

import (
	"context"
	"net"
	"testing"
	"time"
)

// BenchmarkProbeHTTPFresh is one whole http probe on a fresh connection over loopback.
func BenchmarkProbeHTTPFresh(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go func() {
		buf := make([]byte, 4096)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(buf)
			_, _ = c.Write([]byte(alive + "\r\nCB_IS_OKAY"))
			_ = c.Close()
		}
	}()
	table, err := Compile(Config{Monitors: []Monitor{{Name: "m", Kind: "http"}}})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if r := table.monitors["m"].probe(context.Background(), l.Addr().String()); r.State != Up {
			b.Fatal(r.Reason)
		}
	}
}

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
