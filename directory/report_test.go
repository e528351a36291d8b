package directory

import (
	"net"
	"sync"
	"testing"
)

// TestReport: each exchange tells how its server did; a wrong password is an answer.
func TestReport(t *testing.T) {
	live := demoServer(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	answered, failed := map[string]int{}, map[string]int{}
	client, err := New(Options{Config: demoConfig(t, dead, live), Report: func(address string, o Outcome) {
		mu.Lock()
		defer mu.Unlock()
		if o.Failed {
			failed[address]++
		} else {
			answered[address]++
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	runUntilEnd(t, client.Run)
	if _, err := client.Authenticate(t.Context(), "alice", "alice-demo", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Authenticate(t.Context(), "alice", "wrong", nil); err == nil {
		t.Fatal("a wrong password was accepted")
	}
	mu.Lock()
	defer mu.Unlock()
	if failed[dead] == 0 || answered[dead] != 0 || answered[live] < 4 || failed[live] != 0 {
		t.Errorf("failed %v, answered %v", failed, answered)
	}
}
