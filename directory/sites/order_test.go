package sites

import (
	"testing"

	"pgregory.net/rapid"
)

// floyd computes the costs of all pairs over the links that may be used, in the plainest way:
// every pair of a link's sites is an edge.
func floyd(s *Set, usable func(Link) bool) [][]int64 {
	n := len(s.c.Sites)
	d := make([][]int64, n)
	for i := range d {
		d[i] = make([]int64, n)
		for j := range d[i] {
			if i != j {
				d[i][j] = unreachable
			}
		}
	}
	for _, l := range s.c.Links {
		for _, a := range l.Sites {
			for _, b := range l.Sites {
				if i, j := s.sites[fold(a)], s.sites[fold(b)]; usable(l) && i != j {
					d[i][j] = min(d[i][j], int64(l.Cost))
				}
			}
		}
	}
	for k := range n {
		for i := range n {
			for j := range n {
				if d[i][k] != unreachable && d[k][j] != unreachable {
					d[i][j] = min(d[i][j], d[i][k]+d[k][j])
				}
			}
		}
	}
	return d
}

func TestCostsAreShortest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, err := newSet("test", noon, anyForest(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		// Each of these is a world of its own; a path stays within one.
		worlds := [][][]int64{floyd(s, func(Link) bool { return true })}
		if !s.Transitive() {
			worlds = nil
			for _, l := range s.c.Links {
				worlds = append(worlds, floyd(s, func(other Link) bool { return other.Name == l.Name }))
			}
			for _, b := range s.c.Bridges {
				worlds = append(worlds, floyd(s, func(l Link) bool {
					for _, name := range b.Links {
						if name == l.Name {
							return true
						}
					}
					return false
				}))
			}
		}
		for from := range s.c.Sites {
			got := s.costs(from)
			for to := range s.c.Sites {
				want := int64(unreachable)
				if from == to {
					want = 0
				}
				for _, w := range worlds {
					want = min(want, w[from][to])
				}
				if got[to] != want {
					t.Fatalf("from %v to %v: %d, want %d, in %v", s.c.Sites[from], s.c.Sites[to], got[to], want, s.c)
				}
			}
		}
	})
}

func TestOrder(t *testing.T) {
	s := mustSet(t, siteObj("Prague"), siteObj("Brno"), siteObj("Athens"), siteObj("Zlin"), siteObj("Island"),
		linkObj("free", "0", "Prague", "Athens"), linkObj("far", "70", "Brno", "Prague"), linkObj("farther", "90", "Brno", "Zlin"))
	owners := map[string]int{"Prague": 7, "Athens": 8, "Zlin": 8, "island": 9}
	for site, want := range map[string]string{
		"Prague": "7: site Prague, cost 0; 8: site Athens, cost 0; 9: site Island, no path of site links",
		"ATHENS": "8: site Athens, cost 0; 7: site Prague, cost 0; 9: site Island, no path of site links",
		"Brno":   "8: site Athens, cost 70; 7: site Prague, cost 70; 9: site Island, no path of site links",
		"Zlin":   "8: site Zlin, cost 0; 7: site Prague, cost 160; 9: site Island, no path of site links",
		"Island": "9: site Island, cost 0; 8: site Athens, no path of site links; 7: site Prague, no path of site links",
	} {
		if got := steps(s.Order(site, owners)); got != want {
			t.Errorf("from %s: %s, want %s", site, got, want)
		}
	}
	if got := s.Order("Prague", nil); len(got) != 0 {
		t.Errorf("without owners: %v", got)
	}
}

// A link of all sites is what a forest begins with; it must not cost the square of their number.
func BenchmarkRoutes(b *testing.B) {
	var entries []entry
	var names []string
	for i := range 5000 {
		name := "S" + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))
		names = append(names, name)
		entries = append(entries, siteObj(name))
	}
	s := mustSet(b, append(entries, linkObj("DEFAULTIPSITELINK", "100", names...))...)
	for b.Loop() {
		s.Routes(map[string]int{names[0]: 0, names[1]: 1})
	}
}
