package place

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"time"
)

// manyRules are prefixes as a large company or a provider has them: half of them IPv4 of /8 to
// /32, half IPv6 of /32 to /64.
func manyRules(n int) Config {
	cfg := Config{Datacenters: []string{"us", "uk", "de", "jp"}, Datacenter: "us"}
	random := rand.New(rand.NewPCG(1, 2))
	seen := map[netip.Prefix]bool{}
	for len(cfg.Rules) < n {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, random.Uint32()))), 8+random.IntN(25)).Masked()
		if len(cfg.Rules)%2 == 1 {
			var raw [16]byte
			binary.BigEndian.PutUint64(raw[:], random.Uint64()>>3|1<<61)
			p = netip.PrefixFrom(netip.AddrFrom16(raw), 32+random.IntN(33)).Masked()
		}
		if !seen[p] {
			seen[p] = true
			cfg.Rules = append(cfg.Rules, Rule{p.String(), []string{cfg.Datacenters[random.IntN(4)]}})
		}
	}
	return cfg
}

// heap is what is in use after a collection.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestManyPrefixes: half a million prefixes are ready in seconds, and small. The time has room
// for a busy machine and the race detector; BenchmarkCompile measures it.
func TestManyPrefixes(t *testing.T) {
	cfg := manyRules(500_000)
	before, begin := heap(), time.Now()
	table, err := Compile(cfg)
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(begin)
	size := heap() - before
	t.Logf("500,000 prefixes: %v, %d MB", took, size>>20)
	if took > 30*time.Second || size > 300<<20 {
		t.Errorf("500,000 prefixes took %v and %d MB", took, size>>20)
	}
	runtime.KeepAlive(table)
	runtime.KeepAlive(cfg)
}

func BenchmarkCompile500000(b *testing.B) {
	cfg := manyRules(500_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile(cfg); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkFind(b *testing.B, rules int) {
	table, err := Compile(manyRules(rules))
	if err != nil {
		b.Fatal(err)
	}
	random := rand.New(rand.NewPCG(3, 4))
	clients := make([]Client, 4096)
	for i := range clients {
		clients[i].Address = netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, random.Uint32())))
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		table.Find(clients[i%len(clients)])
		i++
	}
}

func BenchmarkFind100(b *testing.B)    { benchmarkFind(b, 100) }
func BenchmarkFind500000(b *testing.B) { benchmarkFind(b, 500_000) }
