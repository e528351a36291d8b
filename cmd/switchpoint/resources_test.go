package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"switchpoint/broker"
	"switchpoint/broker/sqlite"
	"switchpoint/configs"
	"switchpoint/directory"
	"switchpoint/directory/demodir"
	"switchpoint/internal/covers"
	"switchpoint/peer"
)

// rivalNode is a broker of a cluster of its own, with its peer node: what app wires of them.
type rivalNode struct {
	*app
	t      *testing.T
	rivals *broker.Rivals
	dir    string
	stop   func()

	mu  sync.Mutex
	log bytes.Buffer
}

func (n *rivalNode) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log.Write(p)
}

func newRivalNode(t *testing.T, cluster string) *rivalNode {
	t.Helper()
	n := &rivalNode{t: t, dir: t.TempDir()}
	log := slog.New(slog.NewTextHandler(n, nil))
	n.app = &app{log: log, registry: prometheus.NewRegistry()}
	var err error
	must := func(what string) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s of cluster %s: %v", what, cluster, err)
		}
	}
	n.identity, err = peer.LoadIdentity(n.dir)
	must("identity")
	n.peer, err = peer.New(peer.Options{Config: peer.Config{Listen: "127.0.0.1:0"}, Identity: n.identity, Name: cluster, Log: log})
	must("peer node")
	n.store, err = sqlite.Open(t.Context(), filepath.Join(n.dir, "broker.db"), sqlite.Options{})
	must("store")
	n.broker, err = broker.New(t.Context(), broker.Options{
		Config: broker.Config{Cluster: cluster, SiteID: 1, Listen: []string{"127.0.0.1:0"}},
		Name:   cluster + "-broker-1", Datacenter: cluster, Store: n.store, Log: log,
	})
	must("broker")
	n.trust()
	n.rivals, err = n.newRivals(50 * time.Millisecond)
	must("rivals")
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for what, run := range map[string]func(context.Context) error{"broker": n.broker.Run, "peer": n.peer.Run, "rivals": n.rivals.Run} {
		running.Go(func() {
			if err := run(ctx); err != nil {
				t.Errorf("%s of cluster %s: %v", what, cluster, err)
			}
		})
	}
	n.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		if err := n.store.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(n.stop)
	return n
}

// trust makes the others the trusted peers of n, each as the broker of its cluster.
func (n *rivalNode) trust(others ...*rivalNode) {
	n.t.Helper()
	var c peer.Config
	for _, o := range others {
		c.Trust = append(c.Trust, peer.Trust{
			Name: o.broker.Node().Name, Cluster: o.broker.Cluster(), Key: o.identity.PublicKey(), Address: o.peer.Addr().String(),
		})
	}
	table, err := peer.Compile(c, n.identity.PublicKey())
	if err != nil {
		n.t.Fatal(err)
	}
	n.peer.SetTable(table)
	n.config.Store(&loaded{cfg: &configs.Config{Peer: &c}})
}

// manages makes the desktops, "NAME HOST USER" each, all that the cluster has. Its users are those
// of the directory.
func (n *rivalNode) manages(directoryAddress string, desktops ...string) {
	n.t.Helper()
	secret := filepath.Join(n.dir, "bind")
	if err := os.WriteFile(secret, []byte(demodir.ServicePassword), 0o600); err != nil {
		n.t.Fatal(err)
	}
	s := broker.Setup{
		Directories: []broker.Directory{{Config: directory.Config{
			Name: "corp", Servers: []string{"ldap://" + directoryAddress}, BaseDN: demodir.BaseDN,
			BindDN: demodir.ServiceDN, BindPassword: "file:" + secret, Timeout: 5 * time.Second,
		}}},
		DesktopPools: []broker.DesktopPool{{Name: "own", Kind: broker.KindAssigned, Check: "none"}},
		Policies:     []broker.Policy{{Name: "all"}},
	}
	for _, line := range desktops {
		f := strings.Fields(line)
		s.Desktops = append(s.Desktops, broker.Desktop{Name: f[0], Pool: "own", Host: f[1]})
		s.Assignments = append(s.Assignments, broker.Assignment{User: f[2], Desktop: f[0]})
	}
	if _, err := n.broker.Apply(n.t.Context(), s, false, "test"); err != nil {
		n.t.Fatal(err)
	}
	n.until("it serves", func() bool { return n.broker.Alive().Status == 200 })
}

// offers are the names of the desktops that a user of the directory gets here.
func (n *rivalNode) offers(user string) string {
	n.t.Helper()
	r := n.broker.Login(n.t.Context(), broker.LoginRequest{User: user, Password: user + "-demo"})
	if r.Refusal != nil {
		return r.Refusal.Code
	}
	var names []string
	for _, o := range r.Offers {
		names = append(names, o.Name)
	}
	return strings.Join(names, " ")
}

func (n *rivalNode) until(what string, holds func() bool) {
	n.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			n.t.Fatalf("cluster %s: not within 20 s: %s; conflicts %v", n.broker.Cluster(), what, n.rivals.Conflicts())
		}
	}
}

// conflicts waits until status shows these lines.
func (n *rivalNode) conflicts(want ...string) {
	n.t.Helper()
	n.until("conflicts "+strings.Join(want, ", "), func() bool {
		return strings.Join(conflictLines(n.rivals), "\n") == strings.Join(want, "\n")
	})
}

func (n *rivalNode) warnings() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Count(n.log.String(), "a desktop is in another cluster too")
}

// counted is the gauge of conflicts with a cluster; false before the first comparison.
func (n *rivalNode) counted(cluster string) (float64, bool) {
	n.t.Helper()
	families, err := n.registry.Gather()
	if err != nil {
		n.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "switchpoint_broker_resource_conflicts" && m.GetLabel()[0].GetValue() == cluster {
				return m.GetGauge().GetValue(), true
			}
		}
	}
	return 0, false
}

// TestUniqueResources: two clusters with the same users and desktops of their own live side by
// side; a machine that both manage is found by both; and each works without the other.
func TestUniqueResources(t *testing.T) {
	covers.Req(t, "TP3")
	d, err := demodir.New(demodir.Options{Listen: "127.0.0.1:0"})
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
	corp := d.Addr().String()
	uk, us := newRivalNode(t, "uk"), newRivalNode(t, "us")

	// Shared users, unique resources: everybody has a desktop of his own in either cluster.
	ukOwn := []string{"uk-1 desk-1.uk.company.com bob", "uk-2 10.2.0.2 alice"}
	usOwn := []string{"us-1 desk-1.us.company.com bob", "us-2 10.1.0.2 alice"}
	uk.manages(corp, ukOwn...)
	us.manages(corp, usOwn...)
	for _, c := range []struct {
		n          *rivalNode
		user, want string
	}{{uk, "bob", "uk-1"}, {us, "bob", "us-1"}, {uk, "alice", "uk-2"}, {us, "alice", "us-2"}} {
		if got := c.n.offers(c.user); got != c.want {
			t.Errorf("%s gets %q in cluster %s, want %s", c.user, got, c.n.broker.Cluster(), c.want)
		}
	}
	uk.trust(us)
	us.trust(uk)
	for n, other := range map[*rivalNode]string{uk: "us", us: "uk"} {
		n.until("it has compared", func() bool { _, done := n.counted(other); return done })
		if v, _ := n.counted(other); v != 0 || n.warnings() > 0 {
			t.Errorf("unique resources: %g conflicts, %d warnings", v, n.warnings())
		}
		n.conflicts()
	}

	// A machine in both, however it is written: each cluster gives it to a user of its own.
	uk.manages(corp, append(ukOwn, "london-7 Desk-7.Company.com. carol")...)
	us.manages(corp, append(usOwn, "ny-7 desk-7.company.com dave")...)
	if a, b := uk.offers("carol"), us.offers("dave"); a != "london-7" || b != "ny-7" {
		t.Errorf("one machine is offered as %q and %q", a, b)
	}
	uk.conflicts("desktop london-7 (Desk-7.Company.com.) is in cluster us too: remove it from one of them")
	us.conflicts("desktop ny-7 (desk-7.company.com) is in cluster uk too: remove it from one of them")
	for n, other := range map[*rivalNode]string{uk: "us", us: "uk"} {
		n.until("the gauge says one", func() bool { v, _ := n.counted(other); return v == 1 })
	}

	// Removed from one of them, it is no conflict any more for either.
	us.manages(corp, usOwn...)
	uk.conflicts()
	us.conflicts()
	if uk.warnings() != 1 || us.warnings() != 1 {
		t.Errorf("%d and %d warnings of one conflict", uk.warnings(), us.warnings())
	}

	// Each is independent of the other.
	uk.stop()
	if got := us.offers("bob"); got != "us-1" {
		t.Errorf("without the cluster uk, bob gets %q in cluster us", got)
	}
}

// TestResourceQuestionsOfPeers: a question that makes no sense is refused with its reason, and a
// cluster of which nobody answers is named with everybody who was asked.
func TestResourceQuestionsOfPeers(t *testing.T) {
	uk, us := newRivalNode(t, "uk"), newRivalNode(t, "us")
	us.trust(uk)
	uk.trust(us)
	for _, body := range []string{"", "{", `{"after":"AAAA"}`, `{"after":7}`} {
		if out, err := uk.peer.Call(t.Context(), "us-broker-1", resourcesMethod, []byte(body)); err == nil {
			t.Errorf("%q is answered with %q", body, out)
		}
	}
	us.stop()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := uk.askResources(ctx, "us", broker.ResourceQuestion{})
	if err == nil || !strings.Contains(err.Error(), "no broker of cluster us answers") || !strings.Contains(err.Error(), "us-broker-1") {
		t.Errorf("the error is %v", err)
	}
}

func TestConflictLines(t *testing.T) {
	if lines := conflictLines(nil); len(lines) > 0 {
		t.Errorf("a process without a broker says %q", lines)
	}
}
