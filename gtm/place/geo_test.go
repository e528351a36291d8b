package place

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/maxmind/mmdbwriter"

	"switchpoint/internal/problem"
)

var geoRules = []GeoRule{{Country: "DE", Datacenters: []string{"de"}}}

// TestGeoForms reads all forms that a database may have.
func TestGeoForms(t *testing.T) {
	for _, version := range []int{4, 6} {
		for _, records := range []int{24, 28, 32} {
			data := database(t, mmdbwriter.Options{IPVersion: version, RecordSize: records}, geoLine{"81.0.0.0/8", "EU", "DE", 0}, geoLine{"81.1.1.0/24", "EU", "FR", 0})
			g, err := parseGeo(data, geoRules, 1000)
			if err != nil {
				t.Fatal(err)
			}
			for address, want := range map[string]string{
				"81.2.3.4": "mmdb: continent EU, country DE", "81.1.1.1": "mmdb: continent EU, country FR", "80.255.255.255": "", "82.0.0.0": "",
				"::81.2.3.4": "", "2002:5102:0304::1": "",
			} {
				family, k := keyOf(netip.MustParseAddr(address))
				s, got := &g.spans[family], ""
				if v := s.values[s.find(family, k)]; v != none {
					got = g.facts[v].String()
				}
				if got != want {
					t.Errorf("IPv%d, %d bits: %s is %q, want %q", version, records, address, got, want)
				}
			}
		}
	}
}

// aliased is a tree in which every way leads to the node of ::/96: a walk that passes over it
// without a word never ends.
func aliased(t testing.TB) []byte {
	data := database(t, mmdbwriter.Options{RecordSize: 24, DisableIPv4Aliasing: true}, geoLine{"::1.2.3.4/128", "EU", "DE", 0})
	end := bytes.Index(data, make([]byte, separator))
	nodes := uint(end / 6)
	if nodes != 128 {
		t.Fatalf("the tree has %d nodes", nodes)
	}
	for node := range uint(96) {
		next := node + 1
		for _, at := range []uint{node * 6, node*6 + 3} {
			data[at], data[at+1], data[at+2] = byte(next>>16), byte(next>>8), byte(next)
		}
	}
	return data
}

func TestGeoRefuses(t *testing.T) {
	good := database(t, mmdbwriter.Options{}, geoLine{"81.0.0.0/8", "EU", "DE", 0}, geoLine{"82.0.0.0/8", "EU", "FR", 0})
	f := func(what string, data []byte, steps int, rules []GeoRule, want string) {
		t.Helper()
		if _, err := parseGeo(data, rules, steps); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", what, err, want)
		}
	}
	f("nothing", nil, 1000, geoRules, "no MaxMind database")
	f("text", []byte("DE,81.0.0.0/8"), 1000, geoRules, "no MaxMind database")
	f("cut off", good[:len(good)-40], 1000, geoRules, "no MaxMind database")
	f("too many networks", good, 20, geoRules, "too many networks")
	f("a tree of aliases", aliased(t), 100_000, geoRules, "too many networks")
	f("no numbers of autonomous systems", good, 1000, []GeoRule{{ASN: 1}}, "no numbers of autonomous systems, which geo.rule[0] asks for")
	f("no countries", database(t, mmdbwriter.Options{}, geoLine{"81.0.0.0/8", "", "", 1}), 1000, geoRules, "no countries")
	f("no continents", database(t, mmdbwriter.Options{}, geoLine{"81.0.0.0/8", "", "DE", 1}), 1000, []GeoRule{{}, {Continent: "EU"}}, "no continents, which geo.rule[1]")
	f("a long code", database(t, mmdbwriter.Options{}, geoLine{"81.0.0.0/8", "", "Germany", 1}), 1000, geoRules, "no code of two letters")
	for cut := range good { // every part of a file that was not written to its end
		if _, err := parseGeo(good[:cut], geoRules, 1000); err == nil {
			t.Errorf("the first %d octets are a database", cut)
		}
	}
}

func TestCompileReportsTheDatabase(t *testing.T) {
	cfg := Config{Datacenters: []string{"us", "de"}, Geo: Geo{Rules: geoRules}}
	f := func(file, what string) {
		t.Helper()
		cfg.Geo.File = file
		_, err := Compile(cfg)
		var list problem.List
		if !errors.As(err, &list) || len(list) != 1 || list[0].Path != "geo.file" || list[0].Cure == "" || !strings.Contains(list[0].What, what) {
			t.Errorf("%s: %v", file, err)
		}
	}
	f("/nowhere/x.mmdb", "no such file")
	f(writeIn(t, t.TempDir(), []byte("x")), "no MaxMind database")
	large := filepath.Join(t.TempDir(), "large.mmdb")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, maxGeoFile+1); err != nil { // sparse
		t.Fatal(err)
	}
	f(large, "is larger than 1024 MB")
}

// FuzzGeo: no database, however broken, makes more than an error, in bounded time.
func FuzzGeo(f *testing.F) {
	for _, records := range []int{24, 28, 32} {
		f.Add(database(f, mmdbwriter.Options{RecordSize: records}, geoLine{"81.0.0.0/8", "EU", "DE", 7}, geoLine{"2a00::/16", "EU", "FR", 0}))
	}
	f.Add(database(f, mmdbwriter.Options{IPVersion: 4}, geoLine{"81.0.0.0/8", "EU", "DE", 7}))
	f.Add(aliased(f))
	f.Add([]byte("\xab\xcd\xefMaxMind.com"))
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := parseGeo(data, geoRules, 10_000)
		if err != nil {
			return
		}
		for family := range families {
			s := g.spans[family]
			if len(s.starts) == 0 || s.starts[0] != (key{}) || len(s.starts) != len(s.values) || !slices.IsSortedFunc(s.starts, func(a, b key) int {
				if a.less(b) {
					return -1
				}
				return 1
			}) {
				t.Fatalf("spans that cannot be searched: %v", s)
			}
		}
	})
}
