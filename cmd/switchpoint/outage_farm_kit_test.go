package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"switchpoint/directory/demodir"
	"switchpoint/internal/realserver"
)

// What users of the farm are told, and a name that gtm steers to its brokers themselves.
const (
	farmName    = "cb.farm.test"
	brokersName = "brokers.farm.test"
)

// alone is the site id of the broker that has a host of its own.
const alone = clusterSize

// farm is a cluster of five with a balancer before it and gtm before that. The database stands on a host of
// its own, and so does one of the brokers: the way between any two of database, that broker and all others
// can be cut.
//
//	thin clients -- gtm -- lb --+-- brokers 1 to 4 ---+
//	                            |                     switch -- db
//	                            +-------------------- switch -- broker 5
type farm struct {
	*fiveBrokers
	net *realserver.Network
	gtm *process
	dns string // of gtm

	front string         // of the balancer, which url names
	held  []net.Listener // keep addresses until their owners start
	ports uint16         // given out on the host of the broker that has one
}

func (f *farm) host(name string) *realserver.Host { return f.net.Host(name) }

// startFarm starts everything and waits until all of it is ready.
func startFarm(t *testing.T) *farm {
	t.Helper()
	t.Setenv(asMain, "1")
	n := realserver.StartNetwork(t, "db", "alone")
	f := &farm{net: n, fiveBrokers: &fiveBrokers{
		t: t, dir: shortDir(t),
		db: realserver.Postgres(t, realserver.PostgresOptions{Host: n.Host("db"), Settings: map[string]string{"max_connections": "150"}}),
	}}
	f.write("secrets/db", "postgres-secret")
	f.write("secrets/ldap", demodir.ServicePassword)
	f.write("uk.broker.toml", strings.Replace(clusterSetup(serveDirectoryAt(t, n.Addr())), "[[directory]]", "[[directory]]\nallow_plain = true", 1))
	var peers, dial []string
	for site := 1; site <= clusterSize; site++ {
		own, others := netip.AddrFrom4([4]byte{127, 0, 41, byte(site)}), n.Addr()
		if site == alone {
			own, others = f.host("alone").Addr(), f.host("alone").Addr()
		}
		f.api = append(f.api, f.free(own))
		peers = append(peers, f.free(others))
		dial = append(dial, fmt.Sprintf("{name = %q, address = %q}", nthBroker(site), f.api[site-1]))
	}
	trust := f.trust(peers)
	for site := 1; site <= clusterSize; site++ {
		f.write(nthBroker(site)+".toml", f.brokerConfig(site, peers[site-1], trust))
	}
	f.front = f.free(netip.MustParseAddr("127.0.41.80"))
	f.write("lb.toml", f.nodeConfig("lb")+fmt.Sprintf(`[lb]
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
`, f.front, strings.Join(dial, ", ")))
	f.dns = f.free(netip.MustParseAddr("127.0.41.53"))
	f.write("gtm.toml", f.nodeConfig("gtm")+f.gtmConfig())
	_, port, _ := net.SplitHostPort(f.front) // free has made it
	f.url = "http://" + net.JoinHostPort(farmName, port)
	f.launchAll()
	return f
}

// free is an address with a port that nobody listens on; of a host that the test does not stand on, any.
func (f *farm) free(ip netip.Addr) string {
	f.t.Helper()
	if ip == f.host("alone").Addr() {
		f.ports++
		return netip.AddrPortFrom(ip, 8400+f.ports).String()
	}
	l, err := net.Listen("tcp", netip.AddrPortFrom(ip, 0).String())
	if err != nil {
		f.t.Fatal(err)
	}
	f.held = append(f.held, l)
	return l.Addr().String()
}

func (f *farm) nodeConfig(name string) string {
	return fmt.Sprintf(`[node]
name = %q
datacenter = "uk"
state_dir = "state/%s"
[[datacenter]]
name = "uk"
[[monitor]]
name = "is_alive"
kind = "http"
interval = "500ms"
timeout = "450ms"
fall = 2
rise = 2
`, name, name)
}

func (f *farm) brokerConfig(site int, peer, trust string) string {
	return f.nodeConfig(nthBroker(site)) + fmt.Sprintf(`[peer]
listen = %q
%s
[broker]
cluster = "uk"
site_id = %d
listen = [%q]
seed = "uk.broker.toml"
trusted_proxies = ["127.0.0.0/8", "%s"]
[broker.database]
kind = "postgres"
hosts = [%q]
name = "switchpoint"
user = "postgres"
password = "file:secrets/db"
tls = "off"
`, peer, trust, site, f.api[site-1], f.net.Addr(), f.db.Addr)
}

func (f *farm) gtmConfig() string {
	var b strings.Builder
	fmt.Fprintf(&b, "[gtm]\nlisten = [%q]\n[[gtm.zone]]\norigin = \"farm.test\"\nns = [\"ns.elsewhere.test\"]\n", f.dns)
	name := func(name string, addresses ...string) {
		fmt.Fprintf(&b, "[[gtm.name]]\nname = %q\nttl = \"5s\"\nmonitor = \"is_alive\"\n[[gtm.name.pool]]\ndatacenter = \"uk\"\nmembers = [\n", name)
		for i, a := range addresses {
			host, port, _ := net.SplitHostPort(a) // free has made it
			fmt.Fprintf(&b, "{host = \"m%d.%s\", address = %q, port = %s},\n", i+1, name, host, port)
		}
		b.WriteString("]\n")
	}
	name(farmName, f.front)
	name(brokersName, f.api...)
	return b.String()
}

// launchAll starts the processes on the addresses that were kept for them.
func (f *farm) launchAll() {
	t := f.t
	t.Helper()
	for _, l := range f.held {
		_ = l.Close()
	}
	for site := 1; site <= clusterSize; site++ {
		if site == alone {
			f.brokers = append(f.brokers, f.launchOn("alone", nthBroker(site)))
			continue
		}
		f.brokers = append(f.brokers, f.launch(nthBroker(site)))
	}
	f.lb, f.gtm = f.launch("lb"), f.launch("gtm")
	t.Cleanup(func() {
		f.t = t
		f.gtm.stop()
		f.end()
		if text, err := os.ReadFile(f.gtm.log); err == nil && t.Failed() {
			t.Logf("gtm:\n%s", text[max(0, len(text)-3000):])
		}
		for _, p := range append(f.brokers, f.lb, f.gtm) {
			if n := strings.Count(f.logOf(p), "WARNING: DATA RACE"); n > 0 {
				t.Errorf("%d data races in %s", n, p.name)
			}
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), startDeadline)
	defer cancel()
	for _, p := range append(f.brokers, f.lb, f.gtm) {
		if err := (&stage{}).await(ctx, p); err != nil {
			t.Fatal(err)
		}
	}
}

// launchOn starts a node on a host.
func (f *farm) launchOn(host, name string) *process {
	f.t.Helper()
	p := f.process(name)
	if err := p.launchAs(f.host(host).Command(context.Background(), os.Args[0], "run", "-c", p.config, "--until-eof")); err != nil {
		f.t.Fatal(err)
	}
	return p
}

// syncCaches gives every broker a host cache of now.
func (f *farm) syncCaches() {
	f.t.Helper()
	for site := 1; site <= clusterSize; site++ {
		f.must("hostcache", "sync", "--node", f.node(site))
	}
}
