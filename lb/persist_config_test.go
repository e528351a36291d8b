package lb

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"switchpoint/lb/choice"
	"switchpoint/lb/nodes"
)

func TestValidatePersistence(t *testing.T) {
	long := secretFile(t, strings.Repeat("s", 32))
	two, none := 2, 0
	base := func() Config {
		cfg := plainConfig([]Member{{Name: "b1", Address: "10.0.0.1:80"}})
		cfg.Pools[0].Persistence = ""
		return cfg
	}
	cookie := func(c *Config) *Pool {
		c.Pools[0].Persistence = PersistCookie
		return &c.Pools[0]
	}
	runFaults(t, base, []fault{
		{"good", func(*Config) {}, "", ""},
		{"session", func(c *Config) { c.Pools[0].Persistence, c.Pools[0].SpreadAbove = PersistSession, &none }, "", ""},
		{"cookie", func(c *Config) { cookie(c).PersistenceSecret = long }, "", ""},
		{"no such kind", func(c *Config) { c.Pools[0].Persistence = "ssl" }, "pool[0].persistence", `"ssl" is not a kind`},
		{"mask", func(c *Config) { c.Pools[0].PersistenceMask = 33 }, "pool[0].persistence_mask", "33"},
		{"prefix", func(c *Config) { c.Pools[0].PersistencePrefixV6 = -1 }, "pool[0].persistence_prefix_v6", "-1"},
		{"cookie name without cookies", func(c *Config) { c.Pools[0].Cookie = "X" }, "pool[0].persistence", "has no cookies"},
		{"secret without cookies", func(c *Config) { c.Pools[0].PersistenceSecret = long }, "pool[0].persistence", "has no cookies"},
		{"bad cookie name", func(c *Config) { cookie(c).Cookie = "a b" }, "pool[0].cookie", `"a b"`},
		{"a name that browsers treat apart", func(c *Config) { cookie(c).Cookie = "__Host-lb" }, "pool[0].cookie", "__Host-lb"},
		{"secret in the file", func(c *Config) { cookie(c).PersistenceSecret = "hunter2" }, "pool[0].persistence_secret", "must not stand"},
		{"short secret", func(c *Config) { cookie(c).PersistenceSecret = secretFile(t, "short") }, "pool[0].persistence_secret", "5 bytes"},
		{"spread without sessions", func(c *Config) { c.Pools[0].SpreadAbove = &two }, "pool[0].spread_above", "never spreads"},
		{"negative spread", func(c *Config) {
			minus := -1
			c.Pools[0].Persistence, c.Pools[0].SpreadAbove = PersistSession, &minus
		}, "pool[0].spread_above", "-1"},
		{"cookies for tcp", func(c *Config) { cookie(c); c.Listeners[0].Mode, c.Listeners[0].RequestID = modeTCP, "" }, "pool[0].persistence", "cannot give its clients cookies"},
		{"cookies that the twin cannot read", func(c *Config) { cookie(c); c.Nodes.Peers = []string{"lb-2"} }, "pool[0].persistence_secret", "is missing"},
		{"a twin that can", func(c *Config) { cookie(c).PersistenceSecret = long; c.Nodes.Peers = []string{"lb-2"} }, "", ""},
		{"two cookies of one name", func(c *Config) {
			p := *cookie(c)
			p.Name = "more"
			c.Pools = append(c.Pools, p)
			c.Listeners[0].Routes = []Route{{Path: "/more", Pool: "more"}}
		}, "pool[1].cookie", `"brokers" has the name "SPLB" too`},
		{"of two listeners", func(c *Config) {
			p := *cookie(c)
			p.Name = "more"
			c.Pools = append(c.Pools, p)
			c.Listeners = append(c.Listeners, Listener{Name: "more", Listen: "127.0.0.1:0", Pool: "more"})
		}, "", ""},
		{"a twin twice", func(c *Config) { c.Nodes.Peers = []string{"lb-2", "lb-2"} }, "nodes.peers[1]", "twice"},
	})
	p := base().WithDefaults().Pools[0]
	if p.Persistence != PersistSource || p.PersistenceTimeout != 300*time.Second || p.PersistenceMask != 32 || p.PersistencePrefixV6 != 64 || p.Cookie != "" || p.SpreadAbove != nil {
		t.Errorf("%+v", p)
	}
	session := Pool{Persistence: PersistSession}.withDefaults()
	if *session.SpreadAbove != DefaultSpreadAbove || (Pool{Persistence: PersistCookie}).withDefaults().Cookie != DefaultCookie {
		t.Errorf("%+v", session)
	}
}

// TestNodesNeedPeers: a table with other nodes is refused where there is no way to reach them, and
// nothing has changed then.
func TestNodesNeedPeers(t *testing.T) {
	cfg := plainConfig([]Member{{Address: "127.0.0.1:1"}})
	r := start(t, cfg, func(o *Options) { o.Node = "lb-1" })
	cfg.Nodes = nodes.Config{Peers: []string{"lb-1", "lb-2"}}
	table, err := Compile(cfg, noRef)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetTable(table); err == nil || !strings.Contains(err.Error(), "[peer]") {
		t.Errorf("%v", err)
	}
	cfg.Nodes.Peers = []string{"lb-1"} // itself: a list that all nodes share
	r.reload(cfg)
}

// TestRecogniseAllocatesNothing, whatever a client is known by.
func TestRecogniseAllocatesNothing(t *testing.T) {
	for _, kind := range []string{PersistSource, PersistSession, PersistCookie} {
		r := start(t, persistentConfig(kind, []Member{{Address: "127.0.0.1:1"}, {Address: "127.0.0.1:2"}}))
		lp := r.live.Load().pools[0]
		v := visitor{addr: netip.MustParseAddr("192.0.2.1"), clock: 1_800_000_000}
		fields := "Host: x\r\nAuthorization: Bearer sp1.1.x\r\nCookie: a=b; SPLB="
		if lp.cookies != nil {
			fields += string(lp.cookies.append(nil, 1, v.clock))
		}
		v.fields = []byte(fields + "\r\n\r\n")
		var q choice.Question
		out := make([]byte, 0, 1000)
		sent, names := field{name: []byte("Cookie"), value: []byte("a=b; SPLB=x; c=d")}, []string{"LB", "SPLB"}
		once := func() {
			lp.recognise(&v, &q, time.Hour)
			lp.bind(&v, 1, time.Hour)
			lp.accepted(&v, 1, 200, time.Hour)
			if lp.cookies != nil {
				out = lp.appendSetCookie(out[:0], &v, true)
				out = appendCookies(out[:0], sent, names)
			}
		}
		if n := testing.AllocsPerRun(500, once); n > 0 {
			t.Errorf("%s: %v allocations", kind, n)
		}
		if q.Persisted != 1 || q.Bond != choice.Firm {
			t.Errorf("%s: %+v", kind, q)
		}
	}
}

func BenchmarkRecognise(b *testing.B) {
	for _, kind := range []string{PersistSource, PersistSession, PersistCookie} {
		b.Run(kind, func(b *testing.B) {
			r := start(b, persistentConfig(kind, []Member{{Address: "127.0.0.1:1"}, {Address: "127.0.0.1:2"}}))
			lp := r.live.Load().pools[0]
			v := visitor{addr: netip.MustParseAddr("192.0.2.1"), clock: 1_800_000_000}
			fields := "Host: x\r\nUser-Agent: bench\r\nAccept: */*\r\nAuthorization: Bearer sp1.1.abcdefghijklmnopqrstuvwxyz\r\nCookie: a=b; SPLB="
			if lp.cookies != nil {
				fields += string(lp.cookies.append(nil, 1, v.clock))
			}
			v.fields = []byte(fields + "\r\n\r\n")
			var q choice.Question
			b.ReportAllocs()
			for b.Loop() {
				lp.recognise(&v, &q, time.Hour)
				lp.bind(&v, 1, time.Hour)
				lp.accepted(&v, 1, 200, time.Hour)
			}
		})
	}
}
