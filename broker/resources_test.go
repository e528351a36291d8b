package broker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestMachineOf(t *testing.T) {
	for host, want := range map[string]string{
		"Desk-7.Company.COM.":    "desk-7.company.com",
		"desk-7":                 "desk-7",
		"10.1.2.3":               "10.1.2.3",
		"::FFFF:10.1.2.3":        "10.1.2.3",
		"2001:DB8:0::1":          "2001:db8::1",
		"fe80::1":                "fe80::1",
		"127.0.0.1":              "",
		"127.1.2.3":              "",
		"::1":                    "",
		"localhost":              "",
		"LocalHost.":             "",
		"localhost.company.com.": "localhost.company.com",
	} {
		if got := machineOf(host); got != want {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
}

func TestFingerprintStays(t *testing.T) {
	// Brokers of different versions compare these: the value is a protocol.
	if got := fmt.Sprintf("%x", fingerprintOf("desk-7.company.com")); got != "6548c650a4fca28f980384fc4ad5448f" {
		t.Errorf("the fingerprint is %s", got)
	}
}

func desktopsOn(hosts ...string) []Desktop {
	var out []Desktop
	for i, h := range hosts {
		out = append(out, Desktop{Name: fmt.Sprintf("d%d", i), Host: h})
	}
	return out
}

// readAll follows the pages of own, limit at a time, as another cluster does.
func readAll(t interface {
	Fatalf(string, ...any)
}, own []resource, limit int) (all []Fingerprint, pages int) {
	var q ResourceQuestion
	for {
		p, err := pageOf(own, q, limit)
		if err != nil {
			t.Fatalf("page %d: %v", pages, err)
		}
		next, err := p.read(q)
		if err != nil || len(next) > limit {
			t.Fatalf("page %d of %d fingerprints: %v", pages, len(next), err)
		}
		all, pages = append(all, next...), pages+1
		if !p.More {
			return all, pages
		}
		q.After = next[len(next)-1][:]
	}
}

func TestPages(t *testing.T) {
	for _, c := range []struct{ desktops, limit, pages int }{
		{0, 3, 1}, {1, 3, 1}, {3, 3, 1}, {4, 3, 2}, {6, 3, 2}, {7, 3, 3}, {50_000, resourcesPerPage, 2},
	} {
		var hosts []string
		for i := range c.desktops {
			host := fmt.Sprintf("desk-%d.company.com", i)
			hosts = append(hosts, host, strings.ToUpper(host)) // two desktops on each machine
		}
		own := resourcesOf(desktopsOn(hosts...))
		all, pages := readAll(t, own, c.limit)
		if len(all) != c.desktops || pages != c.pages {
			t.Errorf("%+v: %d fingerprints in %d pages", c, len(all), pages)
		}
		if found := shared(own, all); len(found) != 2*c.desktops {
			t.Errorf("%+v: %d of them are found again", c, len(found))
		}
	}
}

// A full page fits into the body of a peer's answer.
func TestPageFitsIntoABody(t *testing.T) {
	text, err := json.Marshal(ResourcePage{Fingerprints: bytes.Repeat([]byte{0xff}, resourcesPerPage*fingerprintSize), More: true})
	if err != nil || len(text) > 1<<20 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}

func TestBadQuestionAndPages(t *testing.T) {
	if _, err := pageOf(nil, ResourceQuestion{After: []byte("short")}, 3); err == nil {
		t.Error("half a fingerprint is answered")
	}
	of := func(firsts ...byte) []byte {
		var out []byte
		for _, b := range firsts {
			out = append(out, append([]byte{b}, make([]byte, fingerprintSize-1)...)...)
		}
		return out
	}
	for _, c := range []struct {
		page  ResourcePage
		after []byte
		want  string
	}{
		{ResourcePage{Fingerprints: of(1, 2)}, nil, ""},
		{ResourcePage{Fingerprints: of(0)}, nil, ""},
		{ResourcePage{}, of(1), ""},
		{ResourcePage{Fingerprints: of(1)[1:]}, nil, "no whole number"},
		{ResourcePage{More: true}, nil, "says that there are more"},
		{ResourcePage{Fingerprints: of(2, 1)}, nil, "do not ascend"},
		{ResourcePage{Fingerprints: of(2, 2)}, nil, "do not ascend"},
		{ResourcePage{Fingerprints: of(2, 3)}, of(2), "do not ascend"}, // it would be asked for ever
	} {
		_, err := c.page.read(ResourceQuestion{After: c.after})
		if got := fmt.Sprint(err); c.want == "" && err != nil || !strings.Contains(got, c.want) {
			t.Errorf("%x after %x: %v, want %q", c.page.Fingerprints, c.after, err, c.want)
		}
	}
}

func TestSharedResources(t *testing.T) {
	for _, c := range []struct {
		about     string
		own, them []string
		want      string
	}{
		{"unique", []string{"a", "b"}, []string{"c", "d"}, ""},
		{"nothing here", nil, []string{"c"}, ""},
		{"nothing there", []string{"a"}, nil, ""},
		{"one, written otherwise", []string{"a", "Desk.Company.com"}, []string{"desk.company.com.", "z"}, "d1"},
		{"an address", []string{"10.0.0.1"}, []string{"::ffff:10.0.0.1"}, "d0"},
		{"two desktops on one machine", []string{"a", "b", "A"}, []string{"a"}, "d0 d2"},
		{"loopback is everybody's own", []string{"127.0.0.1", "localhost"}, []string{"127.0.0.1", "localhost"}, ""},
		{"a short name is another name", []string{"desk"}, []string{"desk.company.com"}, ""},
	} {
		theirs, _ := readAll(t, resourcesOf(desktopsOn(c.them...)), 2)
		var got []string
		for _, r := range shared(resourcesOf(desktopsOn(c.own...)), theirs) {
			got = append(got, r.desktop)
		}
		slices.Sort(got)
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %q", c.about, got, c.want)
		}
	}
}

// The two walks and the pages find what a plain comparison of all hosts finds.
func TestSharedResourcesProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		host := rapid.Custom(func(t *rapid.T) string { return fmt.Sprintf("h%d", rapid.IntRange(0, 40).Draw(t, "host")) })
		own, them := desktopsOn(rapid.SliceOf(host).Draw(t, "own")...), rapid.SliceOf(host).Draw(t, "them")
		theirs, _ := readAll(t, resourcesOf(desktopsOn(them...)), rapid.IntRange(1, 9).Draw(t, "limit"))
		want := 0
		for _, d := range own {
			if slices.Contains(them, d.Host) {
				want++
			}
		}
		if got := len(shared(resourcesOf(own), theirs)); got != want {
			t.Fatalf("%d shared, want %d", got, want)
		}
	})
}

func TestConflictsChanged(t *testing.T) {
	of := func(names ...string) (out []ResourceConflict) {
		for _, n := range names {
			out = append(out, ResourceConflict{Desktop: n, Cluster: "us"})
		}
		return out
	}
	added, gone := conflictsChanged(of("a", "b", "c"), of("b", "d"))
	if !slices.Equal(added, of("d")) || !slices.Equal(gone, of("a", "c")) {
		t.Errorf("added %v, gone %v", added, gone)
	}
	if added, gone = conflictsChanged(of("a"), of("a")); len(added)+len(gone) > 0 {
		t.Errorf("nothing changed: added %v, gone %v", added, gone)
	}
}

// A peer may answer anything: it is refused, or it ascends from the question on.
func FuzzResourcePage(f *testing.F) {
	good, _ := pageOf(resourcesOf(desktopsOn("a", "b", "c")), ResourceQuestion{}, 2)
	text, _ := json.Marshal(good)
	f.Add(text, []byte{})
	f.Add(text, good.Fingerprints[:fingerprintSize])
	f.Add([]byte(`{"fingerprints":"AAAA","more":true}`), []byte{})
	f.Add([]byte(`{"more":true}`), []byte{})
	f.Fuzz(func(t *testing.T, text, after []byte) {
		var p ResourcePage
		if json.Unmarshal(text, &p) != nil {
			return
		}
		q := ResourceQuestion{After: after}
		all, err := p.read(q)
		if err != nil {
			return
		}
		if p.More && len(all) == 0 {
			t.Error("a page without an end")
		}
		if !slices.IsSortedFunc(all, func(a, b Fingerprint) int { return bytes.Compare(a[:], b[:]) }) {
			t.Error("not sorted")
		}
		if len(all) > 0 && bytes.Compare(all[0][:], after) <= 0 {
			t.Error("the page goes back")
		}
		if p, err := pageOf(resourcesOf(desktopsOn("a", "b", "c")), q, 2); err == nil && len(p.Fingerprints) > 2*fingerprintSize {
			t.Error("more than was asked for")
		}
	})
}
