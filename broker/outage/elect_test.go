package outage

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"switchpoint/broker"
	"switchpoint/broker/outage/mode"
	"switchpoint/internal/covers"
)

func TestElect(t *testing.T) {
	covers.Req(t, "DC6")
	peer := func(name string, m mode.Mode, able bool, capacity int) Peer {
		return Peer{Name: name, Mode: m, Able: able, Capacity: capacity}
	}
	all := []Peer{
		peer("cb3.eu.company.com", mode.HostCache, true, 100), peer("cb1.us.company.com", mode.HostCache, true, 100), peer("CB2.us.company.com", mode.Leased, true, 400),
		peer("cb9.us.company.com", mode.Recovering, true, 400),
	}
	for name, tc := range map[string]struct {
		brokers []Peer
		by      string
		want    string
	}{
		"nobody":                     {nil, broker.ElectName, ""},
		"alone":                      {all[:1], broker.ElectName, "cb3.eu.company.com"},
		"by name":                    {all, broker.ElectName, "cb1.us.company.com"},
		"case does not count":        {all[2:], broker.ElectName, "CB2.us.company.com"},
		"by capacity, then name":     {all, broker.ElectCapacity, "CB2.us.company.com"},
		"same capacity":              {all[:2], broker.ElectCapacity, "cb1.us.company.com"},
		"with nothing to serve from": {[]Peer{peer("a", mode.HostCache, false, 9), all[0]}, broker.ElectName, "cb3.eu.company.com"},
		"not in the outage":          {[]Peer{peer("a", mode.Normal, true, 9), peer("b", mode.Draining, true, 9), all[0]}, broker.ElectName, "cb3.eu.company.com"},
		"none is able":               {[]Peer{peer("a", mode.Draining, true, 9), peer("b", mode.HostCache, false, 9)}, broker.ElectName, ""},
	} {
		if got := elect(tc.brokers, tc.by); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

// TestElectProperty: whoever asks, and in whatever order he has heard the others, comes to the same answer.
func TestElectProperty(t *testing.T) {
	one := rapid.Custom(func(t *rapid.T) Peer {
		return Peer{Name: rapid.StringMatching(`[abAB]{1,3}`).Draw(t, "name"), Able: rapid.Bool().Draw(t, "able"), Capacity: rapid.IntRange(0, 3).Draw(t, "capacity"),
			Mode: rapid.SampledFrom([]mode.Mode{mode.Normal, mode.HostCache, mode.Leased, mode.Recovering, mode.Draining}).Draw(t, "mode")}
	})
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfNDistinct(one, 0, 5, func(p Peer) string { return p.Name }).Draw(t, "brokers")
		by := rapid.SampledFrom([]string{broker.ElectName, broker.ElectCapacity}).Draw(t, "by")
		want := elect(list, by)
		if got := elect(rapid.Permutation(list).Draw(t, "as another has heard them"), by); got != want {
			t.Fatalf("%q and %q", got, want)
		}
		for _, p := range list {
			if able := p.Able && p.Mode.Local(); able && want == "" || p.Name == want && !able {
				t.Fatalf("%q is elected of %+v", want, list)
			}
		}
	})
}

// peers are brokers of a test that hear each other while they live.
type peers struct {
	mu   sync.Mutex
	list map[string]*Store
	deaf string // who hears nobody, and is not heard
}

func (p *peers) add(name string, s *Store) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.list == nil {
		p.list = make(map[string]*Store)
	}
	p.list[name] = s
}

func (p *peers) cutOff(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaf = name
}

// of makes the options of one of them.
func (p *peers) of(name string, capacity *atomic.Int64) func(*Options) {
	return func(o *Options) {
		o.Name = name
		o.AskPeers = func(context.Context) (out []Peer) {
			p.mu.Lock()
			defer p.mu.Unlock()
			for other, s := range p.list {
				if other != name && name != p.deaf && other != p.deaf && !s.node.closed() {
					out = append(out, s.Peer())
				}
			}
			return out
		}
		if capacity != nil {
			o.Capacity = func() int { return int(capacity.Load()) }
		}
	}
}

// newPeers is a cluster of brokers with names, each with a host cache, and what each can take.
func newPeers(t *testing.T, serve, elect string, names ...string) (p *peers, list []*world, capacity []*atomic.Int64) {
	t.Helper()
	server := startServer(t)
	p = &peers{}
	for i, name := range names {
		capacity = append(capacity, new(atomic.Int64))
		w := newWorldWith(t, &world{server: server, dsn: server.DSN, site: i + 1, change: p.of(name, capacity[i]), outage: broker.Outage{
			Mode: broker.OutageHostCache, Profile: broker.OutageFast, CacheEvery: time.Hour, CacheMaxAge: time.Hour, Serve: serve, Elect: elect,
		}})
		if _, err := w.cache.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.add(name, w.Store)
		list = append(list, w)
	}
	return p, list, capacity
}

// alone waits until w serves and the others refuse, and asks them.
func (w *world) alone(t *testing.T, others ...*world) time.Duration {
	t.Helper()
	began := time.Now()
	eventually(t, w.o.Name+" serves", 10*time.Second, func() bool { return w.State().Mode == mode.HostCache && w.State().Serves() })
	took := time.Since(began)
	w.login("anna")
	for _, o := range others {
		refusal := "broker " + w.o.Name + " serves in this outage"
		eventually(t, o.o.Name+" refuses for "+w.o.Name, 10*time.Second, func() bool { // until all know of the outage, for whoever knew it first
			return o.State().Mode == mode.HostCache && o.State().Refuses == refusal
		})
		r, _ := record("anna")
		asked := time.Now()
		if _, err := o.Login(t.Context(), r); !errors.Is(err, broker.ErrUnavailable) || !strings.Contains(err.Error(), refusal) {
			t.Errorf("%s: %v", o.o.Name, err)
		}
		if took := time.Since(asked); took > 200*time.Millisecond {
			t.Errorf("%s took %s to refuse", o.o.Name, took)
		}
		if st, err := o.Status(t.Context()); err != nil || st.Winner != w.o.Name || st.Refuses == "" {
			t.Errorf("%+v, %v", st, err)
		}
	}
	return took
}

// TestElected: of three brokers one serves in the outage; when it dies the next one does within 3 s, and one
// that is cut off from it serves besides (HC5, DC6).
func TestElected(t *testing.T) {
	covers.Req(t, "DC6")
	p, w, _ := newPeers(t, broker.ServeElected, broker.ElectName, "b", "c", "d")
	for _, o := range w {
		o.login("anna") // with the database all of them serve
	}
	w[0].server.Kill()
	w[0].alone(t, w[1], w[2])
	w[0].stop()
	if took := w[1].alone(t, w[2]); took > 3*time.Second {
		t.Errorf("the next one served after %s", took)
	} else {
		t.Logf("the next one served after %s", took.Round(10*time.Millisecond))
	}
	p.cutOff("d")
	w[2].alone(t)
	w[1].alone(t)
	p.cutOff("")
	w[1].alone(t, w[2])
	w[1].server.Start()
	for _, o := range w[1:] {
		o.until(mode.Normal, 60*time.Second)
		o.login("anna")
	}
}

// TestElectedByCapacity: who can take more serves, as it is now.
func TestElectedByCapacity(t *testing.T) {
	covers.Req(t, "DC6")
	_, w, capacity := newPeers(t, broker.ServeElected, broker.ElectCapacity, "b", "c")
	capacity[0].Store(10)
	capacity[1].Store(20)
	w[0].server.Kill()
	w[1].alone(t, w[0])
	capacity[0].Store(30)
	w[0].alone(t, w[1])
}

// TestAllServe: by default every broker serves in an outage, however many hear each other.
func TestAllServe(t *testing.T) {
	covers.Req(t, "DC6")
	_, w, _ := newPeers(t, "", "", "b", "c")
	w[0].server.Kill()
	for _, o := range w {
		o.alone(t)
	}
	for _, o := range w {
		if !o.State().Serves() {
			t.Errorf("%+v", o.State())
		}
	}
}
