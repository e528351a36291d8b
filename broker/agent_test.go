package broker_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/jobs"
	"switchpoint/internal/covers"
)

// enrol gets the agent of the desktop its key.
func (r *running) enrol(t *testing.T, desktop string) broker.AgentKey {
	t.Helper()
	token, err := r.NewEnrolToken(t.Context(), desktop, "", 0, "test")
	if err != nil {
		t.Fatal(err)
	}
	key, _, err := r.EnrolAgent(t.Context(), token, "", "192.0.2.9")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// work runs the jobs of the broker until the test ends.
func (r *running) work(t *testing.T) {
	t.Helper()
	w, err := jobs.New(jobs.Options{
		Store: r.store, Member: r.Member, Added: r.JobAdded(), Poll: 20 * time.Millisecond,
		LoadAverage: func() (float64, error) { return 0, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	for kind, handle := range r.JobHandlers() {
		w.Handle(kind, handle)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestConnectByHeartbeat: a desktop whose agent is heard of is not dialled (BR3).
func TestConnectByHeartbeat(t *testing.T) {
	covers.Req(t, "BR3")
	t.Parallel()
	b := newCluster(t).start(1, nil)
	s := localSetup(t)
	host, port := desktopHost(t, false)
	s.Desktops = []broker.Desktop{{Name: "silent", Pool: "floor", Host: host, Port: port}, {Name: "heard", Pool: "floor", Host: host, Port: port}}
	b.fill(t, s)
	in := b.Login(t.Context(), login("u0", "p"))
	if _, code := b.connect(t, in.Token, in.Offers[0].ID); code != broker.CodeUnreachable {
		t.Fatalf("no desktop answers: %q", code)
	}
	if _, err := b.AgentHeartbeat(t.Context(), b.enrol(t, "heard"), broker.AgentReport{}); err != nil {
		t.Fatal(err)
	}
	if c, code := b.connect(t, in.Token, in.Offers[0].ID); code != "" || c.Desktop != "heard" {
		t.Errorf("%+v, %q", c, code)
	}
}

func TestAgentRefusals(t *testing.T) {
	t.Parallel()
	b := newCluster(t).start(1, nil)
	s := localSetup(t)
	s.Desktops = []broker.Desktop{{Name: "d", Pool: "floor", Host: "h"}}
	b.fill(t, s)
	if _, err := b.NewEnrolToken(t.Context(), "", "", 0, "test"); err == nil {
		t.Error("a token for nothing")
	}
	if _, err := b.NewEnrolToken(t.Context(), "d", "", time.Second, "test"); err == nil {
		t.Error("a token for a second")
	}
	for _, token := range []string{"", "spe1.x", strings.Repeat("x", 1000)} {
		if _, _, err := b.EnrolAgent(t.Context(), token, "d", "192.0.2.9"); refusalCode(err) != broker.CodeEnrolRefused {
			t.Errorf("token %.10q: %v", token, err)
		}
	}
	key := b.enrol(t, "d")
	key.Secret[3]++
	if _, err := b.AgentHeartbeat(t.Context(), key, broker.AgentReport{}); refusalCode(err) != broker.CodeAgentUnknown {
		t.Errorf("a wrong key: %v", err)
	}
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.AgentHeartbeat(t.Context(), key, broker.AgentReport{}); refusalCode(err) != broker.CodeStopped {
		t.Errorf("a broker that has stopped: %v", err)
	}
}

// hypervisor is an HTTP hook that starts a desktop: it opens the desktop's port.
type hypervisor struct {
	*httptest.Server
	calls atomic.Int32
}

func newHypervisor(t *testing.T, start func()) *hypervisor {
	h := &hypervisor{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.calls.Add(1)
		if r.Method != http.MethodPost || r.URL.Path != "/vm/off/start" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		start()
	}))
	t.Cleanup(h.Close)
	return h
}

// TestConnectStartsDesktop: a desktop that is off is started, and the user waits by asking again (BR6).
func TestConnectStartsDesktop(t *testing.T) {
	covers.Req(t, "BR6", "JQ2")
	t.Parallel()
	for _, kind := range []string{broker.KindAssigned, broker.KindPooled} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			host, port := desktopHost(t, false)
			var once sync.Once
			h := newHypervisor(t, func() {
				once.Do(func() {
					l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
					if err != nil {
						t.Error(err)
						return
					}
					t.Cleanup(func() { l.Close() })
				})
			})
			b := newCluster(t).start(1, nil)
			s := localSetup(t)
			s.Powers = []broker.Power{{Name: "hook", Kind: broker.PowerHTTP, URL: h.URL + "/vm/{desktop}/start"}}
			s.Desktops = []broker.Desktop{{Name: "off", Pool: "own", Host: host, Port: port}}
			s.DesktopPools[0].Power = "hook"
			if kind == broker.KindPooled {
				s.Desktops[0].Pool = "floor"
				s.DesktopPools[1].Power = "hook"
			} else {
				s.Assignments = []broker.Assignment{{User: "u0", Desktop: "off"}}
			}
			b.fill(t, s)
			b.work(t)
			in := b.Login(t.Context(), login("u0", "p"))
			ask := func() (broker.Connection, *broker.Refusal) {
				c, err := b.Connect(t.Context(), broker.ConnectRequest{Token: in.Token, Offer: in.Offers[0].ID.String(), Key: "one-key"})
				r, _ := err.(*broker.Refusal)
				return c, r
			}
			_, r := ask()
			if code(r) != broker.CodeStarting || r.RetryAfter == 0 || !strings.Contains(r.Text, "desktop off") {
				t.Fatalf("the first connect: %+v", r)
			}
			if row, err := b.ExplainRef(t.Context(), r.Ref); err != nil || row.Kind != broker.LogPower || row.Desktop != "off" || row.User != "u0" {
				t.Errorf("log row %+v, %v", row, err)
			}
			if _, r := ask(); code(r) != broker.CodeStarting && r != nil || r != nil && r.Ref != "" {
				t.Errorf("asked again: %+v", r)
			}
			if kind == broker.KindPooled { // it is his, though it is off
				other := b.Login(t.Context(), login("u1", "p"))
				if _, code := b.connect(t, other.Token, other.Offers[0].ID); code != broker.CodeNoDesktop {
					t.Errorf("somebody else: %q", code)
				}
			}
			var c broker.Connection
			eventually(t, "the desktop is up", func() bool {
				c, r = ask()
				return r == nil
			})
			if c.Desktop != "off" || h.calls.Load() != 1 {
				t.Errorf("%+v after %d calls", c, h.calls.Load())
			}
			eventually(t, "the job is done", func() bool {
				list, err := b.Jobs(t.Context(), broker.JobFilter{Kinds: []string{broker.KindWaitForStart}})
				return err == nil && len(list) == 1 && list[0].State == broker.JobFinished && strings.Contains(list[0].Result, "is up")
			})
		})
	}
}

// TestStartFails: the user is told, and gets another desktop of the pool with his next connect.
func TestStartFails(t *testing.T) {
	covers.Req(t, "BR6")
	t.Parallel()
	b := newCluster(t).start(1, nil)
	h := newHypervisor(t, func() {}) // it says yes and does nothing
	s := localSetup(t)
	s.Powers = []broker.Power{
		{Name: "hook", Kind: broker.PowerHTTP, URL: h.URL + "/vm/{desktop}/start", StartTimeout: 5 * time.Second},
		{Name: "other", Kind: broker.PowerHTTP, URL: h.URL + "/nothing"},
	}
	s.DesktopPools[0].Power, s.DesktopPools[1].Power = "hook", "other"
	host, port := desktopHost(t, false)
	s.Desktops = []broker.Desktop{{Name: "off", Pool: "own", Host: host, Port: port}, {Name: "floor", Pool: "floor", Host: host, Port: port}}
	s.Assignments = []broker.Assignment{{User: "u0", Desktop: "off"}}
	b.fill(t, s)
	b.work(t)
	in := b.Login(t.Context(), login("u0", "p"))
	for i, why := range []string{"did not answer within 5s", "it answers 404"} {
		last := broker.CodeStarting
		var row broker.LogRow
		eventually(t, "the start fails", func() bool {
			_, err := b.Connect(t.Context(), broker.ConnectRequest{Token: in.Token, Offer: in.Offers[i].ID.String(), Key: "key" + strconv.Itoa(i)})
			last = refusalCode(err)
			if last == broker.CodeStartFailed {
				row, _ = b.ExplainRef(t.Context(), err.(*broker.Refusal).Ref)
			}
			return last != broker.CodeStarting
		})
		if last != broker.CodeStartFailed || !strings.Contains(strings.Join(row.Reason, "\n"), why) {
			t.Errorf("%s: %q, %+v", in.Offers[i].Name, last, row)
		}
	}
	if _, offers, err := b.Offers(t.Context(), in.Token, ""); err != nil || offers[1].State != broker.OfferAvailable {
		t.Errorf("the user still holds a desktop that did not start: %+v, %v", offers, err)
	}
}

// TestDesktopCheck: claims of desktops without an agent are looked after by the job.
func TestDesktopCheck(t *testing.T) {
	covers.Req(t, "BR5")
	t.Parallel()
	c := newCluster(t)
	b := c.start(1, nil)
	s := localSetup(t)
	s.DesktopPools[1].Check = "none"
	upHost, upPort := desktopHost(t, true)
	downHost, downPort := desktopHost(t, false)
	s.Desktops = []broker.Desktop{{Name: "up", Pool: "floor", Host: upHost, Port: upPort}, {Name: "down", Pool: "floor", Host: downHost, Port: downPort}}
	b.fill(t, s)
	for _, u := range []string{"u0", "u1"} {
		in := b.Login(t.Context(), login(u, "p"))
		if _, code := b.connect(t, in.Token, in.Offers[0].ID); code != "" {
			t.Fatal(code)
		}
	}
	if n, err := b.HoldForReset(t.Context(), []string{"up"}, -time.Second, "test", "test"); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	b.work(t)
	eventually(t, "the job has run", func() bool {
		list, err := b.Jobs(t.Context(), broker.JobFilter{Kinds: []string{broker.KindDesktopCheck}})
		return err == nil && len(list) == 1 && list[0].Result == "1 quarantined, 0 silent; 2 in use without an agent, 0 of them given up"
	})
	db, err := sql.Open("sqlite", c.path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var name string
	if err := db.QueryRow(`SELECT d.name FROM claim c JOIN desktop d ON d.id = c.desktop_id WHERE c.unseen_since IS NOT NULL`).Scan(&name); err != nil || name != "down" {
		t.Errorf("%q, %v", name, err)
	}
}

// quickStore answers heartbeats itself and counts the batches.
type quickStore struct {
	broker.Store
	batches, beats atomic.Int64
}

func (s *quickStore) AgentBeats(_ context.Context, beats []broker.AgentBeat) ([]broker.AgentOrders, error) {
	s.batches.Add(1)
	s.beats.Add(int64(len(beats)))
	out := make([]broker.AgentOrders, len(beats))
	for i, b := range beats {
		out[i].Known = b.KeyHash == agentKey(b.Desktop).Hash()
	}
	return out, nil
}

func agentKey(desktop string) broker.AgentKey {
	return broker.AgentKey{Desktop: desktop, Secret: sha256.Sum256([]byte(desktop))}
}

// TestTenThousandAgents: all of them report within three seconds, ten times as fast as they do; the
// store is called once a second. What a call costs the database is a test of broker/postgres.
func TestTenThousandAgents(t *testing.T) {
	covers.Req(t, "BR5")
	const agents, seconds = 10_000, 3
	quick := &quickStore{}
	b := newCluster(t).start(1, nil)
	quick.Store = b.store
	b2, err := broker.New(t.Context(), broker.Options{
		Config: broker.Config{Cluster: "uk", SiteID: 2, Listen: []string{"127.0.0.1:0"}}, Name: "b2", Version: "test", Store: quick,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b2.Run(ctx) }()
	defer func() { cancel(); <-done }()
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	began := time.Now()
	var wg sync.WaitGroup
	var failed atomic.Int64
	for i := range agents {
		if i%100 == 0 { // an even stream
			time.Sleep(time.Until(began.Add(time.Duration(i) * seconds * time.Second / agents)))
		}
		wg.Go(func() {
			r := broker.AgentReport{Version: "1.0", Address: "10.0.0.1", Load: 0.5, Sessions: []broker.AgentSession{{User: "user" + strconv.Itoa(i), State: broker.SessionActive}}}
			if _, err := b2.AgentHeartbeat(t.Context(), agentKey("desktop"+strconv.Itoa(i)), r); err != nil {
				failed.Add(1)
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	cpu := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	t.Logf("%d heartbeats in %v: %d batches, CPU %v, %v a heartbeat; 10,000 agents every 30 s take %.1f %% of a core, without the database",
		agents, took.Round(time.Millisecond), quick.batches.Load(), cpu.Round(time.Millisecond), cpu/agents, 100*cpu.Seconds()/30)
	// A tick that came late leaves more for the next one, in statements of two thousand.
	if most := int64(took/time.Second) + 2 + agents/2000; failed.Load() > 0 || quick.beats.Load() != agents || quick.batches.Load() > most {
		t.Errorf("%d refused, %d written in %d batches over %v", failed.Load(), quick.beats.Load(), quick.batches.Load(), took)
	}
}
