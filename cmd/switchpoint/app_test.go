package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"switchpoint/admin"
	"switchpoint/configs"
)

// shortDir is a directory for the test. Not t.TempDir: a Unix socket's path may have only about 100
// bytes.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sp-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// newNode wires the node of a configuration, which is written to node.toml in dir.
func newNode(t *testing.T, dir, text string) (*app, *configs.Config) {
	t.Helper()
	file := filepath.Join(dir, "node.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := configs.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	a, err := newApp(t.Context(), cfg, newLogger(configs.Log{}, t.Output()))
	if err != nil {
		t.Fatal(err)
	}
	return a, cfg
}

// untilReady waits until a node that runs here says that it is ready.
func untilReady(t *testing.T, cfg *configs.Config) *admin.Client {
	t.Helper()
	node := admin.NewClient(filepath.Join(cfg.Node.StateDir, admin.SocketName))
	for deadline := time.Now().Add(20 * time.Second); node.Ready(t.Context()) != nil; {
		if time.Now().After(deadline) {
			t.Fatal("never ready")
		}
	}
	return node
}

// TestReadyEndsWithTheDrain: /readyz says no as soon as the process drains, while its back still
// runs, so that nobody is sent to a role that stops.
func TestReadyEndsWithTheDrain(t *testing.T) {
	a, cfg := newNode(t, shortDir(t), `
[node]
name = "gtm1"
datacenter = "us"
state_dir = "state"

[[datacenter]]
name = "us"

[gtm]
listen = ["127.0.0.1:0"]

[[gtm.zone]]
origin = "company.com"
ns = ["gtm1.example.net"]

[[gtm.name]]
name = "cb.company.com"

[[gtm.name.pool]]
datacenter = "us"
members = [{ address = "127.0.0.1" }]
`)
	back, stopBack := context.WithCancel(t.Context())
	adminEnds := make(chan error, 1)
	go func() { adminEnds <- a.admin.Run(back) }()
	front, stopFront := context.WithCancel(t.Context())
	frontEnds := make(chan error, 1)
	go func() { frontEnds <- a.runFront(front) }()
	node := untilReady(t, cfg)
	stopFront()
	if err := <-frontEnds; err != nil {
		t.Error(err)
	}
	if node.Ready(t.Context()) == nil {
		t.Error("ready after the front has stopped")
	}
	stopBack()
	if err := <-adminEnds; err != nil {
		t.Error(err)
	}
}

// TestShare: of two peers that keep silent each gets half of the time, of one all of it.
func TestShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for _, c := range []struct {
			left int
			want time.Duration
		}{{2, 500 * time.Millisecond}, {1, 500 * time.Millisecond}} {
			began := time.Now()
			one, done := share(ctx, c.left)
			<-one.Done()
			done()
			if took := time.Since(began); took != c.want {
				t.Errorf("with %d left it took %s, want %s", c.left, took, c.want)
			}
		}
		one, done := share(context.Background(), 2)
		defer done()
		if _, has := one.Deadline(); has {
			t.Error("a deadline came from nowhere")
		}
	})
}

// TestDemoRefusesALivingDirectory: the files of a demo that runs are not written over.
func TestDemoRefusesALivingDirectory(t *testing.T) {
	dir := shortDir(t)
	state := filepath.Join(dir, "state", "uk-gtm")
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(state, admin.SocketName))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if _, err := prepareStage(dir, stageOptions{}); err == nil || !strings.Contains(err.Error(), "a demo runs in "+dir) {
		t.Errorf("a directory in use: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "certs")); err == nil {
		t.Error("the directory was written to")
	}
}
