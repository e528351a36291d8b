package main

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"switchpoint/admin"
	"switchpoint/internal/realserver"
)

// The times of the nodes under test. The machine that runs the test may be busy: margin is what a
// bound gets on top of what the configuration promises, patience is for things without a bound, and
// a node that says nothing for three reports must not be one that only had no processor.
const (
	sitesInterval = 400 * time.Millisecond // of the monitor
	sitesTimeout  = 350 * time.Millisecond
	sitesFall     = 2
	sitesReports  = 600 * time.Millisecond // between two of a node to another
	margin        = 3 * time.Second
	patience      = 30 * time.Second
)

// sitesNodes are the three gtm nodes by their [node] names; each stands on the host of the same
// name without the hyphen.
var sitesNodes = []string{"de-gtm", "uk-gtm", "us-gtm"}

// sitesServers are the hosts with an is_alive page: the members of the names, and what the nodes
// have as their anchor.
var sitesServers = []string{"us1", "us2", "uk1", "de1", "dr1", "anchor"}

// sitesClients stand for people at three places, by the subnet that their resolver sends (RFC 7871).
var sitesClients = map[string]string{"us": "198.18.1.0", "uk": "198.18.2.0", "de": "198.18.3.0"}

// sites is a company with three sites: a gtm node in each, in a network namespace of its own as
// everything else.
type sites struct {
	t       *testing.T
	dir     string
	net     *realserver.Network
	nodes   map[string]*process
	servers map[string]*process
}

// startSites starts everything and waits until the nodes serve.
func startSites(t *testing.T) *sites {
	t.Helper()
	dir := shortDir(t)
	var hosts []string
	for _, n := range sitesNodes {
		hosts = append(hosts, hostOf(n))
	}
	s := &sites{
		t: t, dir: dir, net: realserver.StartNetwork(t, append(hosts, sitesServers...)...),
		nodes: map[string]*process{}, servers: map[string]*process{},
	}
	t.Cleanup(s.end)
	for _, name := range sitesServers {
		s.startServer(name)
	}
	s.writeConfigs()
	for _, name := range sitesNodes {
		s.startNode(name)
	}
	for _, name := range sitesNodes {
		s.awaitReady(name)
	}
	return s
}

func (s *sites) end() {
	for _, p := range s.nodes {
		if p.running() {
			_ = p.stdin.Close()
		}
	}
	for name, p := range s.nodes {
		p.stop()
		if s.t.Failed() {
			s.t.Logf("the log of %s:\n%s", name, s.log(name))
		}
	}
	for _, p := range s.servers {
		p.kill()
	}
}

func hostOf(node string) string { return strings.ReplaceAll(node, "-", "") }

func (s *sites) host(name string) *realserver.Host { return s.net.Host(hostOf(name)) }

// cut cuts a node from other nodes and servers, and from nobody else: the test reaches it still.
func (s *sites) cut(node string, from ...string) {
	s.t.Helper()
	var hosts []*realserver.Host
	for _, n := range from {
		hosts = append(hosts, s.host(n))
	}
	s.net.Partition(s.host(node), hosts...)
}

func (s *sites) state(node string) string { return filepath.Join(s.dir, node) }

// log is what a node has logged, over all of its starts.
func (s *sites) log(node string) string {
	text, err := os.ReadFile(s.nodes[node].log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// launch runs this test binary on a host, with a variable of the environment that says as what.
func (s *sites) launch(host, env string, args ...string) *process {
	s.t.Helper()
	p := &process{name: host, log: filepath.Join(s.dir, host+".log"), done: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	p.cmd = s.net.Host(host).Command(context.Background(), os.Args[0], args...)
	p.cmd.Env = append(os.Environ(), env, "SWITCHPOINT_COVERS=", "GORACE=atexit_sleep_ms=0")
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		s.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p
}

// isAliveEnv makes TestIsAlivePage the program of a host.
const isAliveEnv = "SWITCHPOINT_TEST_IS_ALIVE"

// TestIsAlivePage is a broker as far as monitors see one. It does nothing when it is not asked to.
func TestIsAlivePage(t *testing.T) {
	address := os.Getenv(isAliveEnv)
	if address == "" {
		return
	}
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("CB_IS_OKAY")) })
	server := http.Server{Addr: address, Handler: page, ReadHeaderTimeout: patience}
	t.Fatal(server.ListenAndServe())
}

func (s *sites) startServer(name string) {
	s.t.Helper()
	s.servers[name] = s.launch(name, isAliveEnv+"="+s.page(name), "-test.run=^TestIsAlivePage$")
	s.eventually(patience, name+" serves", func() error {
		conn, err := net.DialTimeout("tcp", s.page(name), time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err
	})
}

// page is where the is_alive page of a server is.
func (s *sites) page(server string) string {
	return net.JoinHostPort(s.host(server).Addr().String(), "80")
}

func (s *sites) startNode(name string) {
	p := s.launch(hostOf(name), asMain+"=1", "run", "-c", filepath.Join(s.dir, name+".toml"), "--until-eof")
	p.socket = filepath.Join(s.state(name), admin.SocketName)
	s.nodes[name] = p
}

// awaitReady waits until a node answers queries from known health.
func (s *sites) awaitReady(name string) {
	s.t.Helper()
	p := s.nodes[name]
	s.eventually(startDeadline, name+" serves", func() error {
		if !p.running() {
			s.t.Fatal(p.died())
		}
		ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Second)
		defer cancel()
		return admin.NewClient(p.socket).Ready(ctx)
	})
}
