package peer

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func identity(t *testing.T) Identity {
	t.Helper()
	id, err := LoadIdentity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// node makes a node that listens on a free port; it runs until the test ends or stop is called.
func node(t *testing.T, id Identity, trust []Trust, handlers map[string]Handler) (n *Node, stop func()) {
	t.Helper()
	n, err := New(Options{Config: Config{Listen: "127.0.0.1:0", Trust: trust}, Identity: id, Name: t.Name(), Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	for method, h := range handlers {
		n.Handle(method, h)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return n, stop
}

func pin(name string, id Identity, n *Node) Trust {
	trust := Trust{Name: name, Cluster: "us", Key: id.PublicKey()}
	if n != nil {
		trust.Address = n.Addr().String()
	}
	return trust
}

func echo(_ context.Context, from Trust, body []byte) ([]byte, error) {
	return append([]byte(from.Name+"/"+from.Cluster+": "), body...), nil
}

func TestTwoNodesTalk(t *testing.T) {
	idA, idB := identity(t), identity(t)
	b, _ := node(t, idB, []Trust{pin("node-a", idA, nil)}, map[string]Handler{"echo": echo})
	a, _ := node(t, idA, []Trust{pin("node-b", idB, b)}, map[string]Handler{"echo": echo})
	for range 3 {
		out, err := a.Call(t.Context(), "node-b", "echo", []byte("hello"))
		if err != nil || string(out) != "node-a/us: hello" {
			t.Fatalf("a asks b: %q, %v", out, err)
		}
	}
	// The other way once b learns a's address.
	table, err := Compile(Config{Trust: []Trust{pin("node-a", idA, a)}}, idB.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	b.SetTable(table)
	if got := b.Peers("us"); len(got) != 1 || got[0] != "node-a" {
		t.Errorf("Peers gives %q", got)
	}
	if out, err := b.Call(t.Context(), "node-a", "echo", nil); err != nil || string(out) != "node-b/us: " {
		t.Errorf("b asks a: %q, %v", out, err)
	}
	if n := testutil.ToFloat64(b.metrics.calls.WithLabelValues("in", "echo", "ok")); n != 3 {
		t.Errorf("b counts %v calls, want 3", n)
	}
}

func TestUnknownKeyIsRefusedByTheListener(t *testing.T) {
	idA, idB, stranger := identity(t), identity(t), identity(t)
	called := make(chan struct{}, 10)
	b, _ := node(t, idB, []Trust{pin("node-a", idA, nil)}, map[string]Handler{"echo": func(context.Context, Trust, []byte) ([]byte, error) {
		called <- struct{}{}
		return nil, nil
	}})
	s, _ := node(t, stranger, []Trust{pin("node-b", idB, b)}, nil)
	if out, err := s.Call(t.Context(), "node-b", "echo", nil); !errors.Is(err, ErrUnreachable) {
		t.Errorf("a stranger got %q, %v", out, err)
	}
	// Without any certificate, and with plain HTTP.
	conn, err := tls.Dial("tcp", b.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err == nil {
		_, err = fmt.Fprint(conn, "POST /peer/v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
		if err == nil {
			_, err = conn.Read(make([]byte, 1))
		}
		_ = conn.Close()
	}
	if err == nil {
		t.Error("a client without a certificate got an answer")
	}
	resp, err := http.Post("http://"+b.Addr().String()+"/peer/v1/echo", "", nil)
	if err == nil {
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			t.Error("plain HTTP got an answer")
		}
	}
	http.DefaultClient.CloseIdleConnections()
	if len(called) != 0 {
		t.Error("the handler was called")
	}
	if n := testutil.ToFloat64(b.metrics.refused); n != 1 {
		t.Errorf("%v refusals counted, want 1", n)
	}
}

func TestRightAddressWrongKeyIsRefusedByTheCaller(t *testing.T) {
	idA, idB, other := identity(t), identity(t), identity(t)
	b, _ := node(t, idB, []Trust{pin("node-a", idA, nil)}, map[string]Handler{"echo": echo})
	// b's address under another's name and key: even though b's key is trusted as well.
	wrong := pin("node-c", other, b)
	a, _ := node(t, idA, []Trust{wrong, pin("node-b", idB, nil)}, nil)
	_, err := a.Call(t.Context(), "node-c", "echo", nil)
	if !errors.Is(err, ErrWrongKey) || !errors.Is(err, ErrUnreachable) {
		t.Errorf("got %v", err)
	}
	if n := testutil.CollectAndCount(b.metrics.calls); n != 0 {
		t.Errorf("b was called")
	}
}

func TestTrustEndsAtOnce(t *testing.T) {
	idA, idB := identity(t), identity(t)
	b, _ := node(t, idB, []Trust{pin("node-a", idA, nil)}, map[string]Handler{"echo": echo})
	a, _ := node(t, idA, []Trust{pin("node-b", idB, b)}, nil)
	if _, err := a.Call(t.Context(), "node-b", "echo", nil); err != nil {
		t.Fatal(err)
	}
	empty, err := Compile(Config{}, idB.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	b.SetTable(empty) // a's connection is open and idle
	_, err = a.Call(t.Context(), "node-b", "echo", nil)
	if fault, ok := errors.AsType[*RemoteError](err); !ok || fault.Code != CodeNotTrusted {
		t.Errorf("on the open connection: %v", err)
	}
	if _, err := a.Call(t.Context(), "node-b", "echo", nil); !errors.Is(err, ErrUnreachable) {
		t.Errorf("on a new connection: %v", err)
	}
	a.SetTable(empty)
	if _, err := a.Call(t.Context(), "node-b", "echo", nil); !errors.Is(err, ErrUnknownPeer) {
		t.Errorf("a peer that is no longer configured: %v", err)
	}
}

func TestUnreachable(t *testing.T) {
	idA, idB := identity(t), identity(t)
	b, stopB := node(t, idB, []Trust{pin("node-a", idA, nil)}, map[string]Handler{"echo": echo})
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts in the kernel, never answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	a, stopA := node(t, idA, []Trust{
		pin("node-b", idB, b),
		{Name: "silent", Key: fakeKey('s'), Address: silent.Addr().String()},
		{Name: "asks-only", Key: fakeKey('o')},
	}, nil)
	if _, err := a.Call(t.Context(), "node-b", "echo", nil); err != nil {
		t.Fatal(err)
	}
	stopB()
	for _, name := range []string{"node-b", "silent", "asks-only"} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		start := time.Now()
		_, err := a.Call(ctx, name, "echo", nil)
		cancel()
		if took := time.Since(start); !errors.Is(err, ErrUnreachable) || took > 3*time.Second {
			t.Errorf("%s: %v after %s", name, err, took)
		}
	}
	if _, err := a.Call(t.Context(), "nobody", "echo", nil); !errors.Is(err, ErrUnknownPeer) {
		t.Errorf("an unknown name: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Call(ctx, "silent", "echo", nil); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnreachable) {
		t.Errorf("a canceled call: %v", err)
	}
	stopA()
	if _, err := a.Call(t.Context(), "silent", "echo", nil); !errors.Is(err, ErrUnreachable) {
		t.Errorf("after Run: %v", err)
	}
}

func TestStopEndsOwnCalls(t *testing.T) {
	idA := identity(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	a, stop := node(t, idA, []Trust{{Name: "silent", Key: fakeKey('s'), Address: silent.Addr().String()}}, nil)
	got := make(chan error, 1)
	go func() {
		_, err := a.Call(context.Background(), "silent", "echo", nil)
		got <- err
	}()
	if _, err := silent.Accept(); err != nil { // the call is under way
		t.Fatal(err)
	}
	stop()
	if err := <-got; !errors.Is(err, ErrUnreachable) {
		t.Errorf("got %v", err)
	}
}

func TestHandlerErrors(t *testing.T) {
	idA, idB := identity(t), identity(t)
	b, _ := node(t, idB, []Trust{pin("node-a", idA, nil)}, map[string]Handler{
		"coded": func(context.Context, Trust, []byte) ([]byte, error) {
			return nil, fmt.Errorf("wrapped: %w", &RemoteError{Code: "no-session", Text: "it has ended"})
		},
		"plain": func(context.Context, Trust, []byte) ([]byte, error) { return nil, errors.New("disk full") },
		"long": func(context.Context, Trust, []byte) ([]byte, error) {
			return nil, errors.New(strings.Repeat("é", 5000))
		},
		"panic": func(context.Context, Trust, []byte) ([]byte, error) { panic("oh") },
		"huge":  func(context.Context, Trust, []byte) ([]byte, error) { return make([]byte, maxBody+1), nil },
		"full":  func(_ context.Context, _ Trust, body []byte) ([]byte, error) { return body, nil },
	})
	a, _ := node(t, idA, []Trust{pin("node-b", idB, b)}, nil)
	for _, c := range []struct{ method, code, text string }{
		{"coded", "no-session", "it has ended"},
		{"plain", CodeInternal, "disk full"},
		{"long", CodeInternal, "éé"},
		{"panic", CodeInternal, "the handler failed"},
		{"huge", CodeInternal, "1 MiB"},
		{"missing", CodeUnknownMethod, "missing"},
	} {
		_, err := a.Call(t.Context(), "node-b", c.method, nil)
		fault, ok := errors.AsType[*RemoteError](err)
		if !ok || fault.Code != c.code || !strings.Contains(fault.Text, c.text) || len(fault.Text) > maxErrorText {
			t.Errorf("%s: %v", c.method, err)
		}
	}
	full := bytes.Repeat([]byte("x"), maxBody)
	if out, err := a.Call(t.Context(), "node-b", "full", full); err != nil || !bytes.Equal(out, full) {
		t.Errorf("1 MiB each way: %d bytes, %v", len(out), err)
	}
	if _, err := a.Call(t.Context(), "node-b", "full", append(full, 'x')); !errors.Is(err, ErrTooLarge) {
		t.Errorf("more than 1 MiB: %v", err)
	}
	if _, err := a.Call(t.Context(), "node-b", "../x", nil); err == nil {
		t.Error("a method that is no word was sent")
	}
	// The listener bounds the body whatever the caller says.
	c := a.newClient(pinned{Trust{Address: b.Addr().String()}, key(idB.private[32:])})
	_, err := c.exchange(t.Context(), "full", append(full, 'x'))
	if fault, ok := errors.AsType[*RemoteError](err); (!ok || fault.Code != CodeTooLarge) && err == nil {
		t.Errorf("a caller without a bound: %v", err)
	}
	c.http.CloseIdleConnections()
}

func TestHandlerSeesTheCallerGo(t *testing.T) {
	idA, idB := identity(t), identity(t)
	ended, began := make(chan error, 1), make(chan struct{})
	b, _ := node(t, idB, []Trust{pin("node-a", idA, nil)}, map[string]Handler{"wait": func(ctx context.Context, _ Trust, _ []byte) ([]byte, error) {
		close(began)
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	}})
	a, _ := node(t, idA, []Trust{pin("node-b", idB, b)}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-began
		cancel()
	}()
	if _, err := a.Call(ctx, "node-b", "wait", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the handler goes on after its caller")
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("a node without an identity")
	}
	if _, err := New(Options{Identity: identity(t), Config: Config{Listen: "x"}}); err == nil {
		t.Error("a bad address")
	}
	n, err := New(Options{Identity: identity(t)})
	if err != nil || n.Addr() != nil {
		t.Fatalf("a node that only asks: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.Run(ctx); err != nil {
		t.Error(err)
	}
}

func TestMetricsLint(t *testing.T) {
	reg := prometheus.NewRegistry()
	m, err := newMetrics(reg)
	if err != nil {
		t.Fatal(err)
	}
	m.observe("in", "x", time.Now(), "ok")
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

// A peer is trusted, but not to know JSON.
func FuzzDecodeFault(f *testing.F) {
	f.Add(500, []byte(`{"code":"internal","text":"x"}`))
	f.Add(404, []byte(`not json`))
	f.Add(302, []byte(`{"code":""}`))
	f.Add(500, []byte(`{"code":"`+strings.Repeat("c", 100)+`","text":"`+strings.Repeat("é", 2000)+`"}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		fault := decodeFault(status, body)
		if fault.Code == "" && json.Valid(body) {
			t.Errorf("%q has no code", body)
		}
		if len(fault.Code) > 64 || len(fault.Text) > maxErrorText {
			t.Errorf("%q is not bounded", body)
		}
	})
}
