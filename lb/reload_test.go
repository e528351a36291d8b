package lb

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"switchpoint/internal/covers"
	"switchpoint/lb/choice"
)

// reloadStep is the configuration of one reload under load: members come, go and come back, and
// nearly everything that may change does.
func reloadStep(base Config, all []Member, n int) Config {
	rnd := rand.New(rand.NewPCG(7, uint64(n)))
	cfg := base
	cfg.Pools = []Pool{base.Pools[0], base.Pools[1]}
	p := &cfg.Pools[0]
	p.Members = nil
	for _, i := range rnd.Perm(len(all))[:1+rnd.IntN(len(all))] {
		m := all[i]
		m.Weight, m.Priority = 1+rnd.IntN(5), rnd.IntN(3)
		if rnd.IntN(3) == 0 {
			m.MaxInFlight = 1 + rnd.IntN(8)
		}
		p.Members = append(p.Members, m)
	}
	methods := choice.Methods()
	p.Method = methods[rnd.IntN(len(methods))]
	p.Persistence = []string{"none", "source-address"}[rnd.IntN(2)]
	p.MinActive = 1 + rnd.IntN(len(p.Members))
	p.PanicThreshold = rnd.IntN(101)
	p.SlowStart = time.Duration(1+rnd.IntN(60)) * time.Second
	p.ConnectTimeout = time.Duration(1+rnd.IntN(5)) * time.Second
	if p.BackupPool = ""; rnd.IntN(2) == 0 {
		p.BackupPool = "spare"
	}
	cfg.Listeners = []Listener{base.Listeners[0]}
	if rnd.IntN(2) == 0 {
		cfg.Listeners[0].Routes = []Route{{Path: "/spare", Pool: "spare"}}
	}
	return cfg
}

// TestHundredReloads: clients that ask without a pause over connections that stay open see no
// failure and no closed connection, whatever a hundred reloads change, and drains beside.
func TestHundredReloads(t *testing.T) {
	covers.Req(t, "LB7")
	var all []Member
	for _, name := range []string{"a", "b", "c", "d"} {
		b := startBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, _ := io.Copy(io.Discard, r.Body)
			if name == "d" {
				time.Sleep(5 * ms) // a slower one: requests are under way at every reload
			}
			fmt.Fprintf(w, "%s %d", name, n)
		}))
		all = append(all, Member{Name: name, Address: b.addr})
	}
	spare := startBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "spare %d", n)
	}))
	base := plainConfig(all)
	base.Pools = append(base.Pools, Pool{Name: "spare", Persistence: "none", Members: []Member{{Name: "spare", Address: spare.addr}}})
	r := start(t, base)

	var stop atomic.Bool
	var done atomic.Int64
	var clients sync.WaitGroup
	for n := range 12 {
		clients.Go(func() {
			// One connection, by hand: no client library hides a close or asks a second time.
			c, err := net.Dial("tcp", r.addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			br := bufio.NewReader(c)
			for k := 0; !stop.Load(); k++ {
				path, size := "/x", (n*997+k)%3000
				if k%5 == 0 {
					path = "/spare/x"
				}
				_ = c.SetDeadline(time.Now().Add(time.Minute))
				if _, err := fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", path, size, strings.Repeat("x", size)); err != nil {
					t.Errorf("client %d, request %d: %v", n, k, err)
					return
				}
				resp, err := http.ReadResponse(br, nil)
				if err != nil {
					t.Errorf("client %d, request %d: %v", n, k, err)
					return
				}
				got, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil || resp.StatusCode != 200 || resp.Close || !strings.HasSuffix(string(got), fmt.Sprintf(" %d", size)) {
					t.Errorf("client %d, request %d: %d %q %v, closing: %v", n, k, resp.StatusCode, got, err, resp.Close)
					return
				}
				done.Add(1)
			}
		})
	}
	for n := range 100 {
		next := reloadStep(base, all, n)
		r.reload(next)
		goesOn := func() {
			before := done.Load()
			eventually(t, "requests go on", func() bool { return done.Load() > before+20 || t.Failed() })
		}
		goesOn()
		if m := next.Pools[0].Members; n%3 == 0 && len(m) > 1 { // an operator drains one beside
			r.say(word(Drain, m[0].Name))
			goesOn()
			r.say(word(Enable, m[0].Name))
		}
		if t.Failed() {
			break
		}
	}
	stop.Store(true)
	clients.Wait()
	for _, lp := range r.live.Load().pools {
		for _, u := range lp.ups {
			if u.InFlight() != 0 || u.held.Load() != 0 {
				t.Errorf("%s: %d in flight, %d places held", u.address, u.InFlight(), u.held.Load())
			}
		}
	}
	t.Logf("%d requests", done.Load())
}

// known is what a member's state is in truth, for TestReloadsKeepTruth.
type known struct {
	inFlight int64
	ttfb     time.Duration
	drained  bool
	weight   int // said; 0: none
	in       bool
}

// TestReloadsKeepTruth: over random reloads with traffic in between a member that stays keeps its
// requests in flight, averages, bound clients and words; one that comes back keeps its words, and
// the rest as long as requests are there.
func TestReloadsKeepTruth(t *testing.T) {
	covers.Req(t, "LB7")
	names := []string{"192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80", "192.0.2.4:80"}
	rapid.Check(t, func(rt *rapid.T) {
		cfg := plainConfig([]Member{{Address: names[0]}, {Address: names[1]}})
		cfg.Pools[0].Persistence = "source-address"
		p, err := New(Options{Listeners: cfg.Listeners})
		if err != nil {
			rt.Fatal(err)
		}
		defer p.closeListeners()
		truth := make(map[string]*known)
		for _, n := range names {
			truth[n] = &known{}
		}
		reload := func(cfg Config) {
			table, err := Compile(cfg, noRef)
			if err != nil {
				rt.Fatal(err)
			}
			if err := p.SetTable(table); err != nil {
				rt.Fatal(err)
			}
			for _, n := range names {
				k := truth[n]
				k.in = slices.ContainsFunc(cfg.Pools[0].Members, func(m Member) bool { return m.Address == n })
				if !k.in && k.inFlight == 0 {
					k.ttfb = 0
				}
			}
		}
		reload(cfg)
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			lp := p.live.Load().pools[0]
			i := rapid.IntRange(0, len(lp.ups)-1).Draw(rt, "member")
			u, k := lp.ups[i], truth[lp.ups[i].address]
			switch rapid.SampledFrom([]string{"reload", "reload", "begin", "end", "answer", "drain", "weight", "enable"}).Draw(rt, "step") {
			case "reload":
				next := cfg
				next.Pools = []Pool{cfg.Pools[0]}
				next.Pools[0].Method = rapid.SampledFrom(choice.Methods()).Draw(rt, "method")
				next.Pools[0].Members = nil
				for j, n := range names {
					if rapid.Bool().Draw(rt, "in") || j == 0 {
						next.Pools[0].Members = append(next.Pools[0].Members, Member{Address: n, Weight: rapid.IntRange(1, 9).Draw(rt, "weight"), MaxInFlight: 1000})
					}
				}
				next.Pools[0].Members = rapid.Permutation(next.Pools[0].Members).Draw(rt, "order")
				reload(next)
			case "begin":
				if !u.enter(p.now(), 0, time.Second) {
					rt.Fatal("full")
				}
				k.inFlight++
			case "end":
				if k.inFlight > 0 {
					lp.left(u, p.now(), 0)
					k.inFlight--
				}
			case "answer":
				u.Answered(p.now(), 20*ms, 0, 200)
				k.ttfb = u.Load(p.now(), 0).TTFB
			case "drain":
				if err := p.Operate(word(Drain, u.address)); err != nil {
					rt.Fatal(err)
				}
				k.drained = true
			case "weight":
				w := word(Weight, u.address)
				w.Weight = 77
				if err := p.Operate(w); err != nil {
					rt.Fatal(err)
				}
				k.weight = 77
			case "enable":
				if err := p.Operate(word(Enable, u.address)); err != nil {
					rt.Fatal(err)
				}
				k.drained, k.weight = false, 0
			}
			checkKept(rt, p, truth)
		}
	})
}

func checkKept(rt *rapid.T, p *Proxy, truth map[string]*known) {
	seen := 0
	for _, m := range p.Status().Pools[0].Members {
		k := truth[m.Address]
		seen++
		if !k.in || m.InFlight != k.inFlight || time.Duration(m.TTFB["other"]*1e9).Round(time.Microsecond) != k.ttfb.Round(time.Microsecond) {
			rt.Fatalf("%+v, in truth %+v", m, *k)
		}
		if (m.State == "draining") != k.drained || (k.weight > 0) != (m.Weight == 77) {
			rt.Fatalf("%+v, in truth %+v", m, *k)
		}
	}
	for _, k := range truth {
		if k.in {
			seen--
		}
	}
	if seen != 0 {
		rt.Fatal("not all members are there")
	}
}
