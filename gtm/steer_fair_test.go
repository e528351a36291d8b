package gtm

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"

	"switchpoint/gtm/steer"
	"switchpoint/healthcheck"
	"switchpoint/internal/covers"
)

// fairQueries is how many answers each case looks at.
const fairQueries = 100_000

// critical is what a chi-squared value exceeds by chance once in a thousand, by degrees of freedom
// (NIST/SEMATECH e-Handbook of Statistical Methods, section 1.3.6.7.4).
var critical = map[int]float64{1: 10.828, 2: 13.816, 3: 16.266, 4: 18.467, 40: 73.402}

// TestDrawsAreFair: what comes first in 100,000 answers to clients everywhere is spread as the
// weights say, by Pearson's chi-squared test with fixed seeds.
func TestDrawsAreFair(t *testing.T) {
	covers.Req(t, "GT3")
	up, over := healthcheck.Up, healthcheck.Overloaded
	f := func(what string, n Name, state healthcheck.State, spare []int, want ...float64) {
		t.Run(what, func(t *testing.T) {
			seen := make([]float64, len(want))
			firsts(t, n, state, spare, func(_ int, _ netip.Addr, member int) { seen[member]++ })
			chiSquared(t, [][]float64{seen}, want)
		})
	}
	pool := func(weights ...int) []Pool {
		p := Pool{Datacenter: "us"}
		for i, w := range weights {
			p.Members = append(p.Members, Member{Host: fmt.Sprintf("h%d", i), Address: fmt.Sprintf("10.0.0.%d", i), Port: 443, Weight: w})
		}
		return []Pool{p}
	}
	var pools []Pool
	for i, dc := range []string{"us", "uk", "de"} {
		pools = append(pools, Pool{Datacenter: dc, Weight: i + 1, Members: []Member{{Address: fmt.Sprintf("10.0.0.%d", i), Port: 443}}})
	}
	unknown, left := []int{-1, -1, -1, -1}, []int{10, 20, 30, 40}

	f("round-robin", Name{Pools: pool(1, 1, 1, 1, 1)}, up, append(unknown, -1), 1, 1, 1, 1, 1)
	f("round-robin is not weighted", Name{Pools: pool(9, 1, 1, 1)}, up, left, 1, 1, 1, 1)
	f("round-robin, all overloaded", Name{Pools: pool(1, 1, 1, 1)}, over, left, 10, 20, 30, 40)
	f("weighted", Name{Method: steer.MethodWeighted, Pools: pool(1, 2, 3, 4)}, up, unknown, 1, 2, 3, 4)
	f("least-load", Name{Method: steer.MethodLeastLoad, Pools: pool(9, 1, 1, 1)}, up, left, 10, 20, 30, 40)
	f("hash", Name{Method: steer.MethodHash, Pools: pool(1, 2, 3, 4)}, up, unknown, 1, 2, 3, 4)
	f("pools", Name{Between: steer.BetweenWeighted, Pools: pools}, up, unknown, 1, 2, 3)
}

// TestRotationIsFairForEverybody: each member comes first equally often at all times and for all
// clients: the counts of ten stretches of time, and those of ten networks, are tested as tables.
func TestRotationIsFairForEverybody(t *testing.T) {
	covers.Req(t, "GT3")
	n := Name{Pools: []Pool{{Datacenter: "us"}}}
	for i := range 5 {
		n.Pools[0].Members = append(n.Pools[0].Members, Member{Address: fmt.Sprintf("10.0.0.%d", i), Port: 443})
	}
	const rows = 10
	times, clients := make([][]float64, rows), make([][]float64, rows)
	for i := range rows {
		times[i], clients[i] = make([]float64, 5), make([]float64, 5)
	}
	firsts(t, n, healthcheck.Up, []int{-1, -1, -1, -1, -1}, func(i int, client netip.Addr, member int) {
		times[i*rows/fairQueries][member]++
		clients[int(client.As4()[1])%rows][member]++
	})
	chiSquared(t, times, []float64{1, 1, 1, 1, 1})
	chiSquared(t, clients, []float64{1, 1, 1, 1, 1})
}

// firsts asks for A and tells which member, by the last number of its address, came first.
func firsts(t *testing.T, n Name, state healthcheck.State, spare []int, tell func(query int, client netip.Addr, member int)) {
	t.Helper()
	dcs := []string{"us", "uk", "de"}
	n.Name, n.Monitor = "cb.c", "m"
	cfg := Config{
		Listen: []string{"127.0.0.1:0"}, Datacenters: dcs, Datacenter: "us",
		Zones: []Zone{{Origin: "c", NS: []string{"ns.example.net"}}}, Names: []Name{n},
	}
	keys := cfg.Checks()
	table, err := Compile(cfg, func(k healthcheck.Key) healthcheck.Ref { return healthcheck.Ref(slices.Index(keys, k)) })
	if err != nil {
		t.Fatal(err)
	}
	view := steer.Direct(table.steering, nil, steer.Circumstances{Now: time.Unix(1e9, 0), Status: func(r healthcheck.Ref) healthcheck.Status {
		load := healthcheck.Load{Active: 1, Capacity: 1 + spare[r]}
		if spare[r] < 0 {
			load = healthcheck.Load{Active: -1, Capacity: -1}
		}
		return healthcheck.Status{State: state, Load: load}
	}})
	random := rand.New(rand.NewPCG(1, 2))
	for i := range fairQueries {
		client := netip.AddrFrom4([4]byte{byte(1 + random.IntN(200)), byte(random.IntN(256)), byte(random.IntN(256)), 7})
		ans := Resolve(table, view, Question{Name: "cb.c.", Type: typeA, Client: client, Draw: random.Uint64()})
		if len(ans.Answer) == 0 {
			t.Fatal("no answer")
		}
		a, _ := addressOf(ans.Answer[0])
		tell(i, client, int(a.As4()[3]))
	}
}

// chiSquared tests that each row of counts is spread as the shares say.
func chiSquared(t *testing.T, rows [][]float64, shares []float64) {
	t.Helper()
	var all, sum float64
	for _, s := range shares {
		all += s
	}
	for _, row := range rows {
		var total float64
		for _, n := range row {
			total += n
		}
		for i, n := range row {
			want := total * shares[i] / all
			sum += (n - want) * (n - want) / want
		}
	}
	freedom := len(rows) * (len(shares) - 1)
	limit, ok := critical[freedom]
	if !ok {
		t.Fatalf("no critical value for %d degrees of freedom", freedom)
	}
	if sum > limit {
		t.Errorf("chi-squared is %.1f with %d degrees of freedom, above %.1f: %v", sum, freedom, limit, rows)
	}
}

// TestOrdersAreUnrelated: which of two SRV records of a zone file comes first says nothing about which
// address of its steered target does.
func TestOrdersAreUnrelated(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.zone")
	text := "@ 60 SOA ns.example.net. h 1 2 3 4 5\n@ 60 NS ns.example.net.\n_s 60 SRV 0 1 443 a\n_s 60 SRV 0 1 443 b\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Listen: []string{"127.0.0.1:0"}, Datacenters: []string{"us"}, Zones: []Zone{{Origin: "c", File: file}},
	}
	for i, name := range []string{"a.c", "b.c"} {
		cfg.Names = append(cfg.Names, Name{Name: name, Pools: []Pool{{Datacenter: "us", Members: []Member{
			{Address: fmt.Sprintf("10.%d.0.0", i)}, {Address: fmt.Sprintf("10.%d.0.1", i)},
		}}}})
	}
	table := compiled(t, cfg)
	view := unprobed(table)
	random := rand.New(rand.NewPCG(1, 2))
	seen := make([]float64, 4)
	for range fairQueries {
		ans := Resolve(table, view, Question{Name: "_s.c.", Type: typeSRV, Draw: random.Uint64()})
		first := addressesOf(ans.Extra, ans.Answer[0].(*dns.SRV).Target)[0]
		seen[2*int(first.As4()[1])+int(first.As4()[3])]++
	}
	chiSquared(t, [][]float64{seen}, []float64{1, 1, 1, 1})
}
