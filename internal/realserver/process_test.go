package realserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func tlsConfig(t *testing.T, caFile string) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(caFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatalf("%s holds no certificate", caFile)
	}
	return &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
}

// orphanEnv asks this test binary to start a server and then die in the way it
// names, printing the server's process id first.
const orphanEnv = "REALSERVER_TEST_DIE"

// TestServerDiesWithTheTest runs this test again in a process of its own, which
// starts a server and ends without any cleanup.
func TestServerDiesWithTheTest(t *testing.T) {
	if how := os.Getenv(orphanEnv); how != "" {
		p := sleeper(t)
		if err := p.start(); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("pid=%d\n", p.pid)
		switch how {
		case "kill":
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		case "panic":
			go panic("a goroutine of the test fails")
		}
		select {}
	}
	for _, how := range []string{"kill", "panic"} {
		t.Run(how, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestServerDiesWithTheTest$")
			cmd.Env = append(os.Environ(), orphanEnv+"="+how, "SWITCHPOINT_COVERS=", "TMPDIR="+t.TempDir())
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatal("the test process did not die")
			}
			_, rest, _ := strings.Cut(string(out), "pid=")
			line, _, _ := strings.Cut(rest, "\n")
			pid, err := strconv.Atoi(line)
			if err != nil {
				t.Fatalf("no process id in %q", out)
			}
			eventually(t, "the server is gone", func() bool { return !alive(pid) })
		})
	}
}

func TestWaitReadyReportsAServerThatEnds(t *testing.T) {
	p := sleeper(t)
	p.argv = []string{"/bin/sh", "-c", "echo cannot start; exit 3"}
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	err := p.waitReady(func(context.Context) error { return errors.New("never") })
	if err == nil || err.Error() != "sleeper ended before it was ready" {
		t.Errorf("error = %v", err)
	}
	if got := string(p.tail()); got != "cannot start" {
		t.Errorf("log = %q", got)
	}
}

func TestStartOfAMissingProgram(t *testing.T) {
	p := sleeper(t)
	p.argv = []string{"/no/such/program"}
	if err := p.start(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error = %v, want not exist", err)
	}
	if p.running() {
		t.Error("it is said to run")
	}
}

func TestStopAndKillReachChildren(t *testing.T) {
	for name, end := range map[string]func(*process){"kill": (*process).kill, "stop paused": func(p *process) {
		p.freeze()
		if err := p.stop(); err != nil {
			t.Error(err)
		}
	}} {
		t.Run(name, func(t *testing.T) {
			p := sleeper(t)
			// The shell ends its child on SIGTERM; the child is in a session of its own.
			p.argv = []string{"/bin/sh", "-c", `setsid sleep 300 & child=$!; trap 'kill $child; exit' TERM; wait`}
			if err := p.start(); err != nil {
				t.Fatal(err)
			}
			var family []int
			eventually(t, "the child runs", func() bool {
				family = descendants(p.pid)
				return len(family) == 1 && programOf(family[0]) == "sleep"
			})
			end(p)
			if p.running() {
				t.Error("it still runs")
			}
			eventually(t, "the child is gone", func() bool { return !alive(family[0]) })
		})
	}
}

// sleeper is a process that does nothing, until it is told to end.
func sleeper(t *testing.T) *process {
	t.Helper()
	p := &process{
		t: t, name: "sleeper", argv: []string{"/bin/sleep", "300"}, stopSig: syscall.SIGTERM,
		logFile: filepath.Join(newRoot(t, "sleeper"), "log"),
	}
	t.Cleanup(p.kill)
	return p
}

func programOf(pid int) string {
	name, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(name))
}

// alive reports whether pid runs; a zombie does not.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, _, ok := parseStat(stat)
	return ok
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("in vain waited until %s", what)
		}
	}
}

func TestParseStat(t *testing.T) {
	for stat, want := range map[string]string{
		"12 (sleep) S 7 12 12 0 -1":    "12 7 true",
		"12 (odd) name (x)) R 7 12 12": "12 7 true",
		"12 (sleep) Z 7 12 12":         "0 0 false",
		"12 (sleep) S":                 "0 0 false",
		"":                             "0 0 false",
		"x (sleep) S 7 12":             "0 0 false",
	} {
		pid, parent, ok := parseStat([]byte(stat))
		if got := fmt.Sprint(pid, parent, ok); got != want {
			t.Errorf("parseStat(%q) = %s, want %s", stat, got, want)
		}
	}
}

func TestCAIssuesForGivenHosts(t *testing.T) {
	ca := NewCA(t)
	certFile, keyFile := ca.Issue("web", "cb.company.com", "127.0.0.1")
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(keyFile); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v %v, want mode 0600", info.Mode(), err)
	}
	for host, want := range map[string]bool{"cb.company.com": true, "127.0.0.1": true, "localhost": false} {
		_, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), DNSName: host})
		if (err == nil) != want {
			t.Errorf("verify for %s: %v, want ok = %v", host, err, want)
		}
	}

	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello")
	}))
	web.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	web.StartTLS()
	defer web.Close()
	transport := &http.Transport{TLSClientConfig: tlsConfig(t, ca.CertFile)}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get(web.URL)
	if err != nil {
		t.Fatalf("a client that trusts the CA file: %v", err)
	}
	_ = resp.Body.Close()
}
