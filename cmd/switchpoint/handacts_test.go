package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/outage"
	"switchpoint/broker/outage/mode"
	"switchpoint/internal/covers"
	"switchpoint/internal/realserver"
	"switchpoint/peer"
)

// gate is a way to a database that can be shut.
type gate struct {
	to   string
	l    net.Listener
	mu   sync.Mutex
	shut bool
	open map[net.Conn]bool
	wg   sync.WaitGroup
}

func newGate(t *testing.T, to string) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{to: to, l: l, open: make(map[net.Conn]bool)}
	g.wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			g.wg.Go(func() { g.carry(in) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		g.close()
		g.wg.Wait()
	})
	return g
}

// carry takes one connection to the database, unless the gate is shut.
func (g *gate) carry(in net.Conn) {
	defer in.Close()
	out, err := net.Dial("tcp", g.to)
	if err != nil {
		return
	}
	defer out.Close()
	g.mu.Lock()
	shut := g.shut
	g.open[in], g.open[out] = true, true
	g.mu.Unlock()
	if shut {
		return
	}
	g.wg.Go(func() {
		_, _ = io.Copy(out, in)
		out.Close()
	})
	_, _ = io.Copy(in, out)
}

// close shuts it, and ends what goes through.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
	for c := range g.open {
		c.Close()
	}
	clear(g.open)
}

// allied are brokers of one cluster in this process, that trust each other; the database of the first is
// behind a gate.
type allied struct {
	t    *testing.T
	db   *realserver.PostgresServer
	gate *gate
	list []*ally // by site id, from 1
}

type ally struct {
	*member
	end func()
}

func newAllied(t *testing.T, n int) *allied {
	t.Helper()
	c := &allied{t: t, db: realserver.Postgres(t, realserver.PostgresOptions{Settings: map[string]string{"max_connections": "80"}})}
	c.gate = newGate(t, c.db.Addr)
	hash, err := broker.HashPassword("right")
	if err != nil {
		t.Fatal(err)
	}
	setup := "[[desktop_pool]]\nname = \"floor\"\nkind = \"pooled\"\ncheck = \"none\"\n[[policy]]\nname = \"all\"\ndesktop_pools = [\"floor\"]\n"
	for _, user := range []string{"anna", "bert", "carl"} {
		setup += fmt.Sprintf("[[user]]\nname = %q\npassword = %q\n[[desktop]]\nname = \"floor-%s\"\npool = \"floor\"\nhost = \"10.2.1.1\"\n", user, hash, user)
	}
	peers, trust := addresses(t, n), ""
	dirs := make([]string, n)
	for i := range dirs {
		dirs[i] = shortDir(t)
		if err := os.Mkdir(filepath.Join(dirs[i], "state"), 0o700); err != nil {
			t.Fatal(err)
		}
		id, err := peer.LoadIdentity(filepath.Join(dirs[i], "state"))
		if err != nil {
			t.Fatal(err)
		}
		trust += fmt.Sprintf("[[peer.trust]]\nname = %q\ncluster = \"us\"\nkey = %q\naddress = %q\n", nthBroker(i+1), id.PublicKey(), peers[i])
	}
	for i, dir := range dirs {
		for name, text := range map[string]string{"db": "postgres-secret", "setup.toml": setup} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		address := c.db.Addr
		if i == 0 {
			address = c.gate.l.Addr().String()
		}
		text := strings.NewReplacer(`"broker1"`, fmt.Sprintf("%q", nthBroker(i+1)), "site_id = 1", fmt.Sprintf("site_id = %d", i+1)).Replace(brokerNode)
		c.start(dir, text+fmt.Sprintf("[broker.outage]\ncache_every = \"1h\"\n[broker.database]\nkind = \"postgres\"\nhosts = [%q]\nuser = \"postgres\"\npassword = \"file:db\"\ntls = \"off\"\n[peer]\nlisten = %q\n%s",
			address, peers[i], trust))
	}
	for _, a := range c.list {
		waitFor(t, "they know each other", func() bool { return n == 1 || a.lookups(t, "peer") > 0 || c.askAround(a) })
		if _, err := a.outage.HostCache().Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func (c *allied) start(dir, text string) {
	c.t.Helper()
	a, cfg := newNode(c.t, dir, text)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx, nil) }()
	end := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			c.t.Error(err)
		}
	})
	c.t.Cleanup(end)
	c.list = append(c.list, &ally{member: &member{app: a}, end: end})
	untilReady(c.t, cfg)
}

// askAround has a broker ask the others about a session of theirs, and says whether it found it there.
func (c *allied) askAround(a *ally) bool {
	c.t.Helper()
	for _, other := range c.list {
		if other != a {
			_ = a.code(c.t, other.signIn(c.t, "anna"))
		}
	}
	return a.lookups(c.t, "peer") > 0
}

func (a *ally) signIn(t *testing.T, user string) string {
	t.Helper()
	r := a.broker.Login(t.Context(), broker.LoginRequest{User: user, Password: "right"})
	if r.Token == "" {
		t.Fatalf("%s at %s, mode %s: %+v", user, a.broker.Node().Name, a.outage.State().Mode, r)
	}
	return r.Token
}

// connect gives the name of the desktop, or the code of the refusal.
func (a *ally) connect(t *testing.T, token string) string {
	t.Helper()
	_, offers, err := a.broker.Offers(t.Context(), token, "192.0.2.7")
	var c broker.Connection
	if err == nil {
		c, err = a.broker.Connect(t.Context(), broker.ConnectRequest{Token: token, Offer: offers[0].ID.String(), ClientAddr: "192.0.2.7"})
	}
	if refused, ok := errors.AsType[*broker.Refusal](err); ok {
		return refused.Code
	} else if err != nil {
		t.Fatal(err)
	}
	return c.Desktop
}

func (a *ally) force(t *testing.T, f *mode.Force) {
	t.Helper()
	if err := a.outage.SetForce(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

func (a *ally) until(t *testing.T, m mode.Mode) {
	t.Helper()
	waitFor(t, a.broker.Node().Name+" is in mode "+string(m), func() bool { return a.outage.State().Mode == m })
}

// TestStepsAsideWithItsSessions: a broker alone loses its database, and users sign in there before it has
// stepped aside. They go on at the other one, at once, and also when the first has died without ever
// getting its database back.
func TestStepsAsideWithItsSessions(t *testing.T) {
	covers.Req(t, "DC7", "LG2")
	c := newAllied(t, 2)
	first, second := c.list[0], c.list[1]
	before := first.signIn(t, "bert")
	c.gate.close()
	first.force(t, &mode.Force{On: true, By: "a test"}) // as in the moment before it asks the other one
	first.until(t, mode.HostCache)
	used, unused := first.signIn(t, "anna"), first.signIn(t, "carl")
	if got := second.connect(t, used); !strings.HasPrefix(got, "floor-") {
		t.Errorf("a session that only the first one knows, at the second: %q", got)
	}
	first.force(t, nil)
	first.until(t, mode.Draining)
	if why := first.broker.NotServing(); why == "" {
		t.Error("it has no database, and says that it serves")
	}
	waitFor(t, "all is handed over", func() bool {
		s, err := first.outage.Status(t.Context())
		return err == nil && s.Unmerged == 0 && s.Handed > 0 && s.Refused == 0
	})
	s, err := first.outage.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(outageLines(s, time.Now()), "\n"); !strings.Contains(text, "hand-over:") || !strings.Contains(text, "to merge:    0 acts, 0 set aside") {
		t.Errorf("outage status:\n%s", text)
	}
	first.end()
	for who, token := range map[string]string{"before": before, "used": used, "unused": unused} {
		if got := second.connect(t, token); !strings.HasPrefix(got, "floor-") {
			t.Errorf("%s, when the first broker is dead: %q", who, got)
		}
	}
	if err := second.broker.Logout(t.Context(), used, "192.0.2.7"); err != nil {
		t.Error(err)
	}
	if got := second.code(t, used); got != broker.CodeSessionExpired {
		t.Errorf("after the sign-out: %q", got)
	}
}

// TestActsAreForTheCluster: what a broker hands over, and what it says of sessions, is taken from brokers of
// its cluster alone.
func TestActsAreForTheCluster(t *testing.T) {
	c := newAllied(t, 1)
	a := c.list[0]
	for name, answer := range map[string]peer.Handler{handActsMethod: a.answerHandActs, endSessionMethod: a.answerEndSession} {
		_, err := answer(t.Context(), peer.Trust{Name: "x", Cluster: "other"}, []byte(`{}`))
		if remote, ok := errors.AsType[*peer.RemoteError](err); !ok || remote.Code != codeOtherCluster {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := answer(t.Context(), peer.Trust{Name: "x", Cluster: "us"}, []byte(`{"acts": 7, "token_hash": 7}`)); err == nil {
			t.Errorf("%s takes anything", name)
		}
	}
	if _, err := a.answerEndSession(t.Context(), peer.Trust{Name: "x", Cluster: "us"}, []byte(`{"token_hash": "AAAA", "id": "x"}`)); err == nil {
		t.Error("half a hash is taken")
	}
	if _, err := a.handActs(t.Context(), "stranger", outage.Handed{Acts: make([]broker.Act, 1)}); !errors.Is(err, peer.ErrUnknownPeer) {
		t.Errorf("acts are handed to a stranger: %v", err)
	}
}

// TestSignOutWithoutDatabase: all brokers have lost the database. A session that is ended at one of them is
// refused at once at all that can be reached, and at the last one when the database is back.
func TestSignOutWithoutDatabase(t *testing.T) {
	covers.Req(t, "LG2")
	c := newAllied(t, 3)
	before := c.list[0].signIn(t, "bert")
	for _, a := range c.list {
		if _, err := a.outage.HostCache().Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	c.db.Kill()
	for _, a := range c.list {
		a.until(t, mode.HostCache)
	}
	during := c.list[0].signIn(t, "anna")
	for _, a := range c.list {
		for who, token := range map[string]string{"before": before, "during": during} {
			if got := a.code(t, token); got != "" {
				t.Errorf("%s at %s: %q", who, a.broker.Node().Name, got)
			}
		}
	}
	if err := c.list[1].broker.Logout(t.Context(), during, "192.0.2.7"); err != nil {
		t.Fatal(err)
	}
	for _, a := range c.list {
		if got := a.code(t, during); got != broker.CodeSessionExpired {
			t.Errorf("signed out, at %s: %q", a.broker.Node().Name, got)
		}
	}
	last := c.list[2]
	nobody, err := peer.Compile(peer.Config{}, last.identity.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	last.peer.SetTable(nobody) // cut off: whoever calls it is not let in
	if err := c.list[1].broker.Logout(t.Context(), before, "192.0.2.7"); err != nil {
		t.Fatal(err)
	}
	if got := c.list[0].code(t, before); got != broker.CodeSessionExpired {
		t.Errorf("signed out, at the broker that made it: %q", got)
	}
	if got := last.code(t, before); got != "" {
		t.Errorf("at the one that could not be told: %q", got)
	}
	c.db.Start()
	for _, a := range c.list {
		waitFor(t, "the database answers", func() bool {
			s, err := a.outage.Status(t.Context())
			return err == nil && s.Failing.IsZero()
		})
		a.force(t, &mode.Force{By: "a test"}) // no need to wait for it to be stable
	}
	for _, a := range c.list {
		a.until(t, mode.Normal)
	}
	waitFor(t, "the last one goes by the database", func() bool { return last.code(t, before) == broker.CodeSessionExpired })
	for _, a := range c.list {
		if got := a.code(t, during); got != broker.CodeSessionExpired {
			t.Errorf("merged, at %s: %q", a.broker.Node().Name, got)
		}
	}
}
