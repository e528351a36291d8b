package main

import (
	"strings"
	"testing"
	"time"
)

// TestDirectoryDownAtStart: a broker whose directory is down starts, says 503 on is_alive, and
// recovers by itself.
func TestDirectoryDownAtStart(t *testing.T) {
	t.Setenv(asMain, "1")
	dir := shortDir(t)
	s, err := prepareStage(dir, stageOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	broker := &process{name: "uk-broker-1", log: s.path("logs", "uk-broker-1.log")}
	directory := &process{name: "directory", log: s.path("logs", "directory.log")}
	s.processes = []*process{broker, directory}
	if err := broker.launch("run", "-c", s.path("uk-broker-1.toml"), "--until-eof"); err != nil {
		t.Fatal(err)
	}
	awaitAlive(t, s, broker, "503")
	if err := directory.launch("demo", "directory", "--listen", s.address("127.0.1.36", portDirectory),
		"--cert", s.path("certs", "directory.pem"), "--key", s.path("certs", "directory.key"), "--until-eof"); err != nil {
		t.Fatal(err)
	}
	awaitAlive(t, s, broker, "200")
	directory.kill()
	awaitAlive(t, s, broker, "503")
}

// awaitAlive asks the broker's is_alive until it answers with the status.
func awaitAlive(t *testing.T, s *stage, p *process, status string) {
	t.Helper()
	address := s.address("127.0.2.11", portBroker)
	last := ""
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if !p.running() {
			t.Fatal(p.died())
		}
		code, out, errOut := cli(t, "probe", "--address", address, "--ca", s.path("certs", "ca.pem"))
		last = out + errOut
		if strings.Contains(out, "status       "+status) {
			if up := status == "200"; up != (code == 0) {
				t.Fatalf("exit %d for\n%s", code, out)
			}
			return
		}
	}
	t.Fatalf("is_alive never said %s; last\n%s\n%v", status, last, p.running())
}
