package place

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"pgregory.net/rapid"
)

// world is a random configuration, with a way to find places that has nothing in common with the
// one under test.
type world struct {
	cfg     Config
	subnets []string // "prefix site"
	geo     []geoLine
	points  []netip.Addr // where something may change
}

var worldDatacenters = []string{"us", "uk", "de"}

func drawPrefix(t *rapid.T) netip.Prefix {
	if rapid.Bool().Draw(t, "ipv6") {
		raw := [16]byte{0x20, 0x01, 0x0d, 0xb8}
		raw[4], raw[7] = rapid.Byte().Draw(t, "a"), rapid.SampledFrom([]byte{0, 1, 0x80}).Draw(t, "b")
		length := rapid.SampledFrom([]int{0, 3, 32, 33, 36, 40, 56, 63, 64, 65, 128}).Draw(t, "length")
		return netip.PrefixFrom(netip.AddrFrom16(raw), length).Masked()
	}
	raw := [4]byte{10, rapid.SampledFrom([]byte{0, 1, 2, 128, 255}).Draw(t, "a"), rapid.Byte().Draw(t, "b"), rapid.SampledFrom([]byte{0, 1, 128, 255}).Draw(t, "c")}
	return netip.PrefixFrom(netip.AddrFrom4(raw), rapid.IntRange(0, 32).Draw(t, "length")).Masked()
}

func drawWorld(t *rapid.T) world {
	w := world{cfg: Config{Datacenters: worldDatacenters, Datacenter: rapid.SampledFrom(worldDatacenters).Draw(t, "own")}}
	seen := map[netip.Prefix]bool{}
	for range rapid.IntRange(0, 8).Draw(t, "rules") {
		if p := drawPrefix(t); !seen[p] {
			seen[p] = true
			w.mark(p)
			order := rapid.SliceOfNDistinct(rapid.SampledFrom(worldDatacenters), 1, 3, rapid.ID).Draw(t, "order")
			w.cfg.Rules = append(w.cfg.Rules, Rule{p.String(), order})
		}
	}
	subnets := map[netip.Prefix]bool{}
	for range rapid.IntRange(0, 8).Draw(t, "subnets") {
		if p := drawPrefix(t); !subnets[p] {
			subnets[p] = true
			w.mark(p)
			w.subnets = append(w.subnets, p.String()+" "+rapid.SampledFrom([]string{"US", "uk", "Lab", "Island"}).Draw(t, "site"))
		}
	}
	for range rapid.IntRange(0, 8).Draw(t, "networks") {
		p := drawPrefix(t)
		if p.Bits() == 0 || p.Bits() < 4 && p.Addr().Is6() {
			continue // it would hold the addresses of IPv4
		}
		w.mark(p)
		w.geo = append(w.geo, geoLine{prefix: p.String(), continent: "EU", country: rapid.SampledFrom([]string{"DE", "GB", "FR"}).Draw(t, "country")})
	}
	if len(w.geo) > 0 {
		w.cfg.Geo.Rules = []GeoRule{{Country: "DE", Datacenters: []string{"de"}}, {Country: "GB", Datacenters: []string{"uk"}}}
	}
	return w
}

// mark notes the addresses at and around the ends of a prefix.
func (w *world) mark(p netip.Prefix) {
	family, k := keyOf(p.Addr())
	last := addrOf(family, k.last(family, p.Bits()))
	for _, a := range []netip.Addr{p.Addr(), p.Addr().Prev(), last, last.Next()} {
		if a.IsValid() {
			w.points = append(w.points, a)
		}
	}
}

func addrOf(family int, k key) netip.Addr {
	var raw [16]byte
	for i := range 8 {
		raw[i], raw[8+i] = byte(k.hi>>(56-8*i)), byte(k.lo>>(56-8*i))
	}
	if family == ipv4 {
		return netip.AddrFrom4([4]byte(raw[12:]))
	}
	return netip.AddrFrom16(raw)
}

// order says by plain search which datacenters an address gets.
func (w *world) order(a netip.Addr) []string {
	best, length := []string(nil), -1
	for _, s := range w.subnets {
		prefix, site, _ := cut(s)
		if prefix.Contains(a) && prefix.Bits() > length {
			length, best = prefix.Bits(), map[string][]string{
				"US": {"us", "uk"}, "uk": {"uk", "us"}, "Lab": {"uk", "us"}, "Island": {w.cfg.Datacenter},
			}[site]
		}
	}
	for _, r := range w.cfg.Rules {
		if p := netip.MustParsePrefix(r.Prefix); p.Contains(a) && p.Bits() >= length {
			length, best = p.Bits(), r.Datacenters
		}
	}
	if length < 0 {
		best = []string{w.cfg.Datacenter}
		for _, g := range w.geo { // a later line covers an earlier one
			if netip.MustParsePrefix(g.prefix).Contains(a) {
				best = map[string][]string{"DE": {"de"}, "GB": {"uk"}, "FR": {w.cfg.Datacenter}}[g.country]
			}
		}
	}
	out := slices.Clone(best)
	for _, dc := range worldDatacenters {
		if !slices.Contains(out, dc) {
			out = append(out, dc)
		}
	}
	return out
}

// TestScopeIsExact: every address gets the order that plain search gives it; all addresses inside
// its scope get the same; and in a network of one bit less some get another.
func TestScopeIsExact(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		if len(w.geo) > 0 {
			data := database(t, mmdbwriter.Options{RecordSize: rapid.SampledFrom([]int{24, 28, 32}).Draw(t, "records")}, w.geo...)
			w.cfg.Geo.File = writeIn(t, dir, data)
		}
		table, err := Compile(w.cfg)
		if err != nil {
			t.Fatal(err)
		}
		table = table.WithSites(siteSet(t, append(w.subnets, "192.0.2.0/24 Island"), []string{"US uk 10", "uk Lab 5"}))
		w.mark(netip.MustParsePrefix("192.0.2.0/24"))
		w.subnets = append(w.subnets, "192.0.2.0/24 Island")
		for _, a := range append(w.points, drawPrefix(t).Addr()) {
			p := table.Find(Client{Address: a})
			if got, want := w.cfg.names(p.Order), w.order(a); !slices.Equal(p.Order, w.indices(want)) {
				t.Fatalf("%s gets %s, want %v", a, got, want)
			}
			if !p.Scope.Contains(a) || !w.uniform(p.Scope, p.Order) {
				t.Fatalf("%s has the scope %s, in which not all get %v", a, p.Scope, p.Order)
			}
			if p.Scope.Bits() > 0 && w.uniform(netip.PrefixFrom(a, p.Scope.Bits()-1).Masked(), p.Order) {
				t.Fatalf("%s has the scope %s, and one bit less would do", a, p.Scope)
			}
		}
	})
}

// uniform says whether all addresses of a network get an order. It can change only at points.
func (w *world) uniform(network netip.Prefix, order []int) bool {
	family, k := keyOf(network.Addr())
	ends := []netip.Addr{network.Addr(), addrOf(family, k.last(family, network.Bits()))}
	for _, a := range append(ends, w.points...) {
		if network.Contains(a) && !slices.Equal(w.indices(w.order(a)), order) {
			return false
		}
	}
	return true
}

func (w *world) indices(order []string) []int {
	out := make([]int, len(order))
	for i, dc := range order {
		out[i] = slices.Index(worldDatacenters, dc)
	}
	return out
}
