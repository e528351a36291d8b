package main

import (
	"strings"
	"testing"
	"time"

	"switchpoint/admin"
)

// The demo's monitors: fall 2, rise 2, interval 1 s. slack is for jitter and a busy machine.
const (
	fallTime = 2 * time.Second
	riseTime = 2 * time.Second
	slack    = time.Second
)

// TestBrokerKilledAndBack: the death of a broker is seen within fall x interval, its recovery
// within rise x interval, and `health show` tells why; an operator's word overrules both.
func TestBrokerKilledAndBack(t *testing.T) {
	s := newStage(t, stageOptions{})
	lb := s.path("state", "uk-lb")
	address := s.address("127.0.2.11", portBroker)
	broker, err := s.process("uk-broker-1")
	if err != nil {
		t.Fatal(err)
	}
	broker.kill()
	if took := awaitState(t, lb, address, "down"); took > fallTime+slack {
		t.Errorf("the death was seen after %s, not within %s", took, fallTime)
	}
	code, out, errOut := cli(t, "health", "show", address, "--node", lb)
	if code != 0 || !strings.Contains(out, "connection refused") || strings.Count(out, "\n") > 45 {
		t.Errorf("exit %d, more than a screen, or no reason:\n%s%s", code, out, errOut)
	}
	if code, out, _ := cli(t, "health", "history", address, "--node", lb); code != 0 || !strings.Contains(out, "up -> down") {
		t.Errorf("exit %d, history\n%s", code, out)
	}
	if err := broker.launch("run", "-c", broker.config, "--until-eof"); err != nil {
		t.Fatal(err)
	}
	awaitAlive(t, s, broker, "200")
	if took := awaitState(t, lb, address, "up"); took > riseTime+slack {
		t.Errorf("the recovery was seen after %s, not within %s", took, riseTime)
	}
	forces(t, s, lb, address)
}

// forces puts an operator's word over a check, over a restart of the node, and takes it back.
func forces(t *testing.T, s *stage, lb, address string) {
	code, out, errOut := cli(t, "health", "force", address, "--state", "maintenance", "--reason", "new disk", "--owner", "ops", "--for", "1h", "--node", lb)
	if code != 0 {
		t.Fatalf("exit %d\n%s%s", code, out, errOut)
	}
	awaitState(t, lb, address, "maintenance")
	balancer, err := s.process("uk-lb")
	if err != nil {
		t.Fatal(err)
	}
	balancer.stop()
	if err := balancer.launch("run", "-c", balancer.config, "--until-eof"); err != nil {
		t.Fatal(err)
	}
	awaitState(t, lb, address, "maintenance")
	if code, out, _ := cli(t, "health", "show", address, "--node", lb); code != 0 || !strings.Contains(out, "new disk") || !strings.Contains(out, "ops") {
		t.Errorf("exit %d, show\n%s", code, out)
	}
	if code, out, errOut := cli(t, "health", "release", address, "--node", lb); code != 0 {
		t.Fatalf("exit %d\n%s%s", code, out, errOut)
	}
	awaitState(t, lb, address, "up")
	for _, args := range [][]string{
		{"health", "release", address, "--node", lb},
		{"health", "show", "10.9.9.9:1", "--node", lb},
		{"health", "force", address, "--state", "maintenance", "--reason", "x", "--owner", "", "--node", lb},
	} {
		if code, out, errOut := cli(t, args...); code != 1 || out != "" || errOut == "" {
			t.Errorf("%q: exit %d\n%s%s", args, code, out, errOut)
		}
	}
	if code, _, _ := cli(t, "health", "force", address, "--state", "splendid", "--node", lb); code != 2 {
		t.Errorf("a state that does not exist: exit %d", code)
	}
}

// awaitState asks the node until the check of address is in the state, and says how long it took.
func awaitState(t *testing.T, node, address, state string) time.Duration {
	t.Helper()
	began := time.Now()
	client := admin.NewClient(node + "/" + admin.SocketName)
	for last := ""; ; time.Sleep(10 * time.Millisecond) {
		var checks []checkLine
		if err := client.Do(t.Context(), "GET", "health", nil, &checks); err != nil {
			last = err.Error()
		}
		for _, c := range checks {
			if c.Address == address {
				last = c.State + ": " + c.Reason
				if c.State == state {
					return time.Since(began)
				}
			}
		}
		if time.Since(began) > 20*time.Second {
			t.Fatalf("%s never was %s; last %s", address, state, last)
		}
	}
}
