package directory

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"switchpoint/directory/demodir"
	"switchpoint/internal/covers"
)

// demoServer runs the demo directory for the length of the test and gives its address.
func demoServer(t *testing.T) string {
	t.Helper()
	s, err := demodir.New(demodir.Options{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	runUntilEnd(t, s.Run)
	return s.Addr().String()
}

// runUntilEnd runs something with a Run until the test ends, and waits for it.
func runUntilEnd(t testing.TB, run func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func demoConfig(t *testing.T, addresses ...string) Config {
	t.Helper()
	t.Setenv("SWITCHPOINT_TEST_BIND", demodir.ServicePassword)
	c := Config{Name: "demo", BaseDN: demodir.BaseDN, BindDN: demodir.ServiceDN, BindPassword: "env:SWITCHPOINT_TEST_BIND", Timeout: 2 * time.Second}
	for _, a := range addresses {
		c.Servers = append(c.Servers, "ldap://"+a)
	}
	return c
}

func newClient(t testing.TB, c Config) *Client {
	t.Helper()
	client, err := New(Options{Config: c, Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	runUntilEnd(t, client.Run)
	return client
}

// eventually waits for a condition that other goroutines or processes bring about.
func eventually(t *testing.T, what string, within time.Duration, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}

func TestDemoLogins(t *testing.T) {
	c := newClient(t, demoConfig(t, demoServer(t)))
	for _, u := range demodir.Users() {
		for _, typed := range []string{u.Name, strings.ToUpper(u.Name), `COMPANY\` + u.Name, u.Name + "@company.com"} {
			e, err := c.Authenticate(t.Context(), typed, u.Password, []string{"mail", "memberOf"})
			if err != nil || e.User != u.Name || !strings.EqualFold(e.DN, u.DN) || len(e.Attributes["mail"]) != 1 || len(e.Attributes["memberOf"]) != len(u.Groups) {
				t.Fatalf("%s: %+v, %v", typed, e, err)
			}
		}
		if _, err := c.Authenticate(t.Context(), u.Name, u.Password+"x", nil); !errors.Is(err, &RefusedError{Code: CodeWrongPassword}) {
			t.Errorf("%s with a wrong password: %v", u.Name, err)
		}
	}
	if err := c.Health(); err != nil {
		t.Errorf("Health after logins: %v", err)
	}
}

func TestRefusedBeforeTheWire(t *testing.T) {
	c, err := New(Options{Config: demoConfig(t, "127.0.0.1:1")}) // nobody listens there
	if err != nil {
		t.Fatal(err)
	}
	for code, f := range map[string]func() error{
		CodeEmptyPassword: func() error { _, err := c.Authenticate(t.Context(), "alice", "", nil); return err },
		CodeBadName:       func() error { _, err := c.Authenticate(t.Context(), "a\x00", "x", nil); return err },
		CodeWrongPassword: func() error { return c.Bind(t.Context(), "uid=x", strings.Repeat("x", maxPassword+1)) },
	} {
		if err := f(); !errors.Is(err, &RefusedError{Code: code}) {
			t.Errorf("got %v, want %s", err, code)
		}
	}
	if err := c.Bind(t.Context(), "uid=x", ""); !errors.Is(err, ErrRefused) {
		t.Errorf("a bind without a password: %v", err)
	}
	if err := c.Bind(t.Context(), "", "x"); err == nil {
		t.Error("a bind without a DN succeeded")
	}
}

// An unknown user costs a search and a bind, as a wrong password does (SE2).
func TestUnknownUserCostsABind(t *testing.T) {
	reg := prometheus.NewRegistry()
	c, err := New(Options{Config: demoConfig(t, demoServer(t)), Metrics: reg})
	if err != nil {
		t.Fatal(err)
	}
	runUntilEnd(t, c.Run)
	for range 3 {
		if _, err := c.Authenticate(t.Context(), "nobody", "x", nil); !errors.Is(err, ErrNoUser) {
			t.Fatalf("got %v", err)
		}
	}
	for _, op := range []string{"search", "bind"} {
		if n := testutil.ToFloat64(c.metrics.operations.WithLabelValues(op, "refused")); n != 3 {
			t.Errorf("%v refused operations %s, want 3", n, op)
		}
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("metrics: %v, %v", problems, err)
	}
}

func TestSecondClientContinuesTheMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	cfg := demoConfig(t, "127.0.0.1:1")
	a, errA := New(Options{Config: cfg, Metrics: reg})
	b, errB := New(Options{Config: cfg, Metrics: reg})
	if errA != nil || errB != nil || a.metrics.operations != b.metrics.operations {
		t.Fatalf("after a reload: %v, %v", errA, errB)
	}
	cfg.Name = "other"
	if _, err := New(Options{Config: cfg, Metrics: reg}); err != nil {
		t.Fatalf("a second directory: %v", err)
	}
}

func TestServiceAccountRefusedIsNotTheUsersFault(t *testing.T) {
	cfg := demoConfig(t, demoServer(t))
	t.Setenv("SWITCHPOINT_TEST_BIND", "wrong")
	c := newClient(t, cfg)
	_, err := c.Authenticate(t.Context(), "alice", "alice-demo", nil)
	if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrRefused) {
		t.Errorf("got %v", err)
	}
	eventually(t, "Health names the service account", 5*time.Second, func() bool {
		err := c.Health()
		return err != nil && strings.Contains(err.Error(), "service account")
	})
}

// A first server that is silent costs its time-out once, not every login.
func TestDeadFirstServerCostsOnce(t *testing.T) {
	covers.Req(t, "LD1")
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	cfg := demoConfig(t, silent.Addr().String(), demoServer(t))
	cfg.Timeout = 400 * time.Millisecond
	c, err := New(Options{Config: cfg}) // without Run: the logins alone have to find out
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(c)
	login := func() time.Duration {
		start := time.Now()
		if _, err := c.Authenticate(t.Context(), "alice", "alice-demo", nil); err != nil {
			t.Fatal(err)
		}
		return time.Since(start)
	}
	if took := login(); took < cfg.Timeout {
		t.Errorf("the first login took %s and cannot have tried the silent server", took)
	}
	for range 5 {
		if took := login(); took >= cfg.Timeout {
			t.Errorf("a later login took %s", took)
		}
	}
}

func closeAll(c *Client) {
	for _, s := range c.fleet.Load().servers {
		s.close()
	}
}

// The only server keeps its chances when one answer is slow.
func TestOnlyServerIsGivenPatience(t *testing.T) {
	p := newProxy(t, demoServer(t))
	cfg := demoConfig(t, p.addr())
	cfg.Timeout = 300 * time.Millisecond
	c, err := New(Options{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(c)
	if _, err := c.Search(t.Context(), "alice", nil); err != nil {
		t.Fatal(err)
	}
	p.freeze(true)
	if _, err := c.Search(t.Context(), "alice", nil); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
	p.freeze(false)
	if _, err := c.Search(t.Context(), "alice", nil); err != nil {
		t.Fatalf("after one slow answer: %v", err)
	}
}

// One that refuses connections is left alone at once, the only one too.
func TestRefusedConnectionOpensAtOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := New(Options{Config: demoConfig(t, l.Addr().String())})
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(c)
	if _, err := c.Search(t.Context(), "alice", nil); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
	if open, err := c.fleet.Load().servers[0].breaker.state(); !open || !strings.Contains(err.Error(), "refused") {
		t.Errorf("the server counts as up, or does not say why not: %v", err)
	}
}

// A pooled connection that the server closed is replaced without the login noticing.
func TestClosedPooledConnectionIsReplaced(t *testing.T) {
	covers.Req(t, "LD1")
	p := newProxy(t, demoServer(t))
	c := newClient(t, demoConfig(t, p.addr()))
	for range 5 {
		if _, err := c.Authenticate(t.Context(), "alice", "alice-demo", nil); err != nil {
			t.Fatal(err)
		}
		p.cut()
	}
}

// A bind that may have reached a server is not sent to the next: a wrong password would count
// twice. A search is.
func TestBindIsNotSentTwice(t *testing.T) {
	covers.Req(t, "LD1")
	first, second := newProxy(t, demoServer(t)), newProxy(t, demoServer(t))
	cfg := demoConfig(t, first.addr(), second.addr())
	cfg.Timeout = 400 * time.Millisecond
	c, err := New(Options{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(c)
	dn := demodir.Users()[0].DN
	if err := c.Bind(t.Context(), dn, "wrong"); !errors.Is(err, ErrRefused) {
		t.Fatal(err)
	}
	first.freeze(true)
	if err := c.Bind(t.Context(), dn, "wrong"); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("a bind without an answer: %v", err)
	}
	if n := second.accepted.Load(); n != 0 {
		t.Fatalf("the second server got %d connections for a bind that the first had", n)
	}
	if _, err := c.Search(t.Context(), "alice", nil); err != nil {
		t.Fatalf("a search was not sent to the second server: %v", err)
	}
	if err := c.Bind(t.Context(), dn, "alice-demo"); err != nil {
		t.Fatalf("a later bind did not use the second server: %v", err)
	}
}

// The server dies of a bind on a pooled connection, and does not come back at once. The password
// may have counted there already: it goes nowhere else.
func TestPasswordStaysWithTheServerThatHadIt(t *testing.T) {
	covers.Req(t, "LD1")
	first, second := newProxy(t, demoServer(t)), newProxy(t, demoServer(t))
	c, err := New(Options{Config: demoConfig(t, first.addr(), second.addr())})
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(c)
	dn := demodir.Users()[0].DN
	if err := c.Bind(t.Context(), dn, "alice-demo"); err != nil {
		t.Fatal(err)
	}
	first.freeze(true)
	bound := make(chan error, 1)
	go func() { bound <- c.Bind(t.Context(), dn, "wrong") }()
	eventually(t, "the first server has the password", 5*time.Second, func() bool { return first.swallow.Load() > 0 })
	if err := first.listener.Close(); err != nil {
		t.Fatal(err)
	}
	first.cut()
	if err := <-bound; !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if n := second.accepted.Load(); n != 0 {
		t.Errorf("the second server got %d connections for a bind that the first had", n)
	}
	if n := first.accepted.Load(); n != 1 {
		t.Errorf("the first server got %d connections", n)
	}
	if err := c.Bind(t.Context(), dn, "alice-demo"); err != nil {
		t.Errorf("a later bind did not use the second server: %v", err)
	}
}

func TestCallersEndIsNotTheServersFault(t *testing.T) {
	covers.Req(t, "LD1")
	p := newProxy(t, demoServer(t))
	c, err := New(Options{Config: demoConfig(t, p.addr())})
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(c)
	p.freeze(true)
	ctx, cancel := context.WithCancel(t.Context())
	stop := time.AfterFunc(50*time.Millisecond, cancel)
	defer stop.Stop()
	if _, err := c.Search(ctx, "alice", nil); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnavailable) {
		t.Errorf("a canceled search: %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Search(ctx, "alice", nil); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a search with a short deadline: %v", err)
	}
	if open, _ := c.fleet.Load().servers[0].breaker.state(); open {
		t.Error("the server counts as down")
	}
}

func TestStoppedClientRefuses(t *testing.T) {
	c, err := New(Options{Config: demoConfig(t, demoServer(t))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if n := testutil.CollectAndCount(c.metrics.up) + testutil.CollectAndCount(c.metrics.connections); n != 0 {
		t.Errorf("%d series of its servers are left", n)
	}
	if _, err := c.Authenticate(t.Context(), "alice", "alice-demo", nil); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// A server must not make us hold whatever it likes to send.
func TestEndlessAnswerIsCutOff(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		// An LDAP message of 1 GiB, of which zeros never stop to come.
		_, err = conn.Write([]byte{0x30, 0x84, 0x40, 0, 0, 0, 0x04, 0x84, 0x3f, 0xff, 0xff, 0xf0})
		for zeros := make([]byte, 1<<16); err == nil; {
			_, err = conn.Write(zeros)
		}
	})
	defer wg.Wait()
	defer l.Close()
	cfg := demoConfig(t, l.Addr().String())
	cfg.BindDN, cfg.BindPassword, cfg.Timeout = "", "", 20*time.Second
	c, err := New(Options{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(c)
	start := time.Now()
	if _, err := c.Search(t.Context(), "alice", nil); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(start); took > cfg.Timeout/2 {
		t.Errorf("only the time-out ended it, after %s", took)
	}
}

func ExampleRefusedError() {
	err := error(&RefusedError{Code: "775"})
	fmt.Println(errors.Is(err, ErrRefused), err.(*RefusedError).Explain())
	// Output: true account locked
}
