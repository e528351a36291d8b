package httpbench

import (
	"strings"
	"testing"
	"time"
)

func TestOpenLoopMeasuresFromWhenARequestWasDue(t *testing.T) {
	p := servePage(t, 1024)
	p.delay.Store(int64(20 * time.Millisecond))
	// 200/s on one connection that can do 50/s: the requests wait longer and longer.
	got, err := openLoop(task{Target: p.addr, Path: smallFile, Size: 1024, Conns: 1, Rate: 200, For: 300 * time.Millisecond})
	if err != nil || got.Failed != 0 || got.Sent != 60 || p.count.Load() != 60 {
		t.Fatalf("%+v, %v, served %d", got, err, p.count.Load())
	}
	if got.P50 < 200*time.Millisecond || got.P99 < 500*time.Millisecond {
		t.Errorf("p50 %s, p99 %s: the wait for the connection is missing", got.P50, got.P99)
	}
}

func TestOpenLoopCountsFailures(t *testing.T) {
	p := servePage(t, 1024)
	p.fail.Store(true)
	got, err := openLoop(task{Target: p.addr, Path: smallFile, Size: 1024, Conns: 4, Rate: 200, For: 100 * time.Millisecond})
	if err != nil || got.Sent != 20 || got.Failed != 20 || !strings.Contains(got.Error, "503") {
		t.Errorf("%+v, %v", got, err)
	}
	p.fail.Store(false)
	got, err = openLoop(task{Target: p.addr, Path: smallFile, Size: 1023, Conns: 4, Rate: 200, For: 50 * time.Millisecond})
	if err != nil || got.Failed != got.Sent || !strings.Contains(got.Error, "1024 bytes, want 1023") {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAnswerLength(t *testing.T) {
	for _, tc := range []struct {
		in         string
		head, body int
		fail       string
	}{
		{"HTTP/1.1 200 OK\r\nContent-Le", 0, 0, ""},
		{"HTTP/1.1 200 OK\r\nServer: x\r\ncontent-length: 12\r\n\r\nabc", 50, 12, ""},
		{"HTTP/1.1 503 Service Unavailable\r\n\r\n", 0, 0, "503"},
		{"HTTP/1.1 200 OK\r\n\r\n", 0, 0, "without Content-Length"},
		{"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", 35 + 4, 0, "invalid syntax"},
	} {
		head, body, err := answerLength([]byte(tc.in))
		if err == nil && tc.fail == "" && (head != tc.head || body != tc.body) || (err == nil) != (tc.fail == "") || err != nil && !strings.Contains(err.Error(), tc.fail) {
			t.Errorf("%q: %d, %d, %v", tc.in, head, body, err)
		}
	}
}
