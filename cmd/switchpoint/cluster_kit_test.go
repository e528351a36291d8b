package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"switchpoint/admin"
	"switchpoint/directory/demodir"
	"switchpoint/internal/realserver"
	"switchpoint/peer"
)

// clusterSize is the usual upper end (CL1).
const clusterSize = 5

// fiveBrokers are five broker processes over one PostgreSQL server with a balancer in front.
type fiveBrokers struct {
	t       *testing.T
	dir     string
	db      *realserver.PostgresServer
	brokers []*process // by site id, from 1
	lb      *process
	url     string   // of the balancer
	api     []string // of the brokers, by site id, from 1
}

// addresses are free ones on the loopback network.
func addresses(t *testing.T, n int) []string {
	t.Helper()
	var out []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		out = append(out, l.Addr().String())
	}
	return out
}

// startCluster starts everything and waits until the balancer holds all brokers to be up.
func startCluster(t *testing.T) *fiveBrokers {
	t.Helper()
	t.Setenv(asMain, "1")
	c := &fiveBrokers{t: t, dir: shortDir(t), db: realserver.Postgres(t, realserver.PostgresOptions{Settings: map[string]string{"max_connections": "150"}})}
	free := addresses(t, 2*clusterSize+1) // at once, so that none is given twice
	api, peers, front := free[:clusterSize], free[clusterSize:2*clusterSize], free[2*clusterSize]
	c.api = api
	c.write("secrets/db", "postgres-secret")
	c.write("secrets/ldap", demodir.ServicePassword)
	c.write("uk.broker.toml", clusterSetup(serveDemoDirectory(t)))
	trust := c.trust(peers)
	var members []string
	for i := range clusterSize {
		name := nthBroker(i + 1)
		members = append(members, fmt.Sprintf("{name = %q, address = %q}", name, api[i]))
		c.write(name+".toml", fmt.Sprintf(`[node]
name = %q
datacenter = "uk"
state_dir = "state/%s"
[[datacenter]]
name = "uk"
[peer]
listen = %q
%s
[broker]
cluster = "uk"
site_id = %d
listen = [%q]
seed = "uk.broker.toml"
trusted_proxies = ["127.0.0.1"]
[broker.database]
kind = "postgres"
hosts = [%q]
name = "switchpoint"
user = "postgres"
password = "file:secrets/db"
tls = "off"
`, name, name, peers[i], trust, i+1, api[i], c.db.Addr))
	}
	c.write("lb.toml", fmt.Sprintf(`[node]
name = "lb"
datacenter = "uk"
state_dir = "state/lb"
[[datacenter]]
name = "uk"
[[monitor]]
name = "is_alive"
kind = "http"
interval = "500ms"
timeout = "450ms"
fall = 2
rise = 2
[lb]
[[lb.listener]]
name = "http"
listen = %q
pool = "brokers"
[[lb.pool]]
name = "brokers"
monitor = "is_alive"
persistence = "session"
lb_method = "round-robin"
members = [%s]
`, front, strings.Join(members, ", ")))
	c.url = "http://" + front
	t.Cleanup(c.end)
	for i := range clusterSize {
		c.brokers = append(c.brokers, c.launch(nthBroker(i+1)))
	}
	c.lb = c.launch("lb")
	ctx, cancel := context.WithTimeout(t.Context(), startDeadline)
	defer cancel()
	for _, p := range append(c.brokers, c.lb) {
		if err := (&stage{}).await(ctx, p); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func nthBroker(site int) string { return fmt.Sprintf("uk-broker-%d", site) }

func (c *fiveBrokers) write(name, text string) {
	c.t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// trust makes the brokers' keys, and the list that all of them share.
func (c *fiveBrokers) trust(peers []string) string {
	c.t.Helper()
	var b strings.Builder
	for i, address := range peers {
		state := filepath.Join(c.dir, "state", nthBroker(i+1))
		if err := os.MkdirAll(state, 0o700); err != nil {
			c.t.Fatal(err)
		}
		id, err := peer.LoadIdentity(state)
		if err != nil {
			c.t.Fatal(err)
		}
		fmt.Fprintf(&b, "[[peer.trust]]\nname = %q\ncluster = \"uk\"\nkey = %q\naddress = %q\n", nthBroker(i+1), id.PublicKey(), address)
	}
	return b.String()
}

func (c *fiveBrokers) launch(name string) *process {
	c.t.Helper()
	p := c.process(name)
	if err := p.launch("run", "-c", p.config, "--until-eof"); err != nil {
		c.t.Fatal(err)
	}
	return p
}

// process is that of a node, not started yet.
func (c *fiveBrokers) process(name string) *process {
	return &process{name: name, config: filepath.Join(c.dir, name+".toml"), log: filepath.Join(c.dir, name+".log"), socket: filepath.Join(c.dir, "state", name, admin.SocketName)}
}

func (c *fiveBrokers) end() {
	all := append(c.brokers, c.lb)
	for _, p := range all {
		if p != nil && p.running() {
			_ = p.stdin.Close()
		}
	}
	for _, p := range all {
		if p == nil {
			continue
		}
		p.stop()
		if text, err := os.ReadFile(p.log); err == nil && c.t.Failed() {
			c.t.Logf("%s:\n%s", p.name, text[max(0, len(text)-3000):])
		}
	}
}

// node is the state directory of a broker, for --node.
func (c *fiveBrokers) node(site int) string { return filepath.Dir(c.brokers[site-1].socket) }

// serveDemoDirectory runs the demo's directory in the test's own process.
func serveDemoDirectory(t *testing.T) (address string) {
	t.Helper()
	return serveDirectoryAt(t, netip.MustParseAddr("127.0.0.1"))
}

// serveDirectoryAt is serveDemoDirectory on another address, for hosts of a network.
func serveDirectoryAt(t *testing.T, ip netip.Addr) (address string) {
	t.Helper()
	d, err := demodir.New(demodir.Options{Listen: netip.AddrPortFrom(ip, 0).String()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return d.Addr().String()
}

// clusterSetup has the demo's people and a pool that shows each of them two desktops.
func clusterSetup(directory string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `[[directory]]
name = "corp"
servers = ["ldap://%s"]
base_dn = %q
bind_dn = %q
bind_password = "file:secrets/ldap"
timeout = "5s"
[[desktop_pool]]
name = "floor"
kind = "pooled"
check = "none"
[[policy]]
name = "everybody"
desktop_pools = ["floor"]
max_offers = 2
session_expiry = "30m"
`, directory, demodir.BaseDN, demodir.ServiceDN)
	for i := range 8 {
		fmt.Fprintf(&b, "[[desktop]]\nname = \"floor-%d\"\npool = \"floor\"\nhost = \"floor-%d.uk.company.com\"\n", i, i)
	}
	return b.String()
}

// until waits for a condition.
func (c *fiveBrokers) until(what string, holds func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(90 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("not within 90 s: %s", what)
		}
	}
}

// change replaces a part of a file that is there once.
func (c *fiveBrokers) change(path, from, to string) {
	c.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		c.t.Fatal(err)
	}
	if strings.Count(string(text), from) != 1 {
		c.t.Fatalf("%s has not one %q", path, from)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), from, to, 1)), 0o600); err != nil {
		c.t.Fatal(err)
	}
}
