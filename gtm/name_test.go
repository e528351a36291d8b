package gtm

import (
	"strings"
	"testing"

	"github.com/miekg/dns"
	"pgregory.net/rapid"
)

func TestParseName(t *testing.T) {
	good := func(s, wire string) {
		t.Helper()
		if got, err := parseName(s); err != nil || got != wireName(wire) {
			t.Errorf("%q: got %q, %v, want %q", s, got, err, wire)
		}
	}
	good(".", "\x00")
	good("Com", "\x03com\x00")
	good("cb.Company.COM.", "\x02cb\x07company\x03com\x00")
	good(`a\.b.c`, "\x03a.b\x01c\x00")
	good(`\065\000\255.c.`, "\x03a\x00\xff\x01c\x00")
	good(strings.Repeat("a", 63), "\x3f"+strings.Repeat("a", 63)+"\x00")

	bad := func(s string, want error) {
		t.Helper()
		if got, err := parseName(s); err != want {
			t.Errorf("%q: got %q, %v, want %v", s, got, err, want)
		}
	}
	bad("", errEmptyName)
	bad("..", errEmptyLabel)
	bad(".a", errEmptyLabel)
	bad("a..b", errEmptyLabel)
	bad(strings.Repeat("a", 64), errLongLabel)
	bad(strings.Repeat("abc.", 64), errLongName)
	bad(`a\`, errEscape)
	bad(`a\12`, errEscape)
	bad(`a\256`, errEscape)
}

// TestNameLikeLibrary: our wire form of any name is the library's, lower-cased, and its text
// reads back as itself.
func TestNameLikeLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		labels := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 1, 20), 1, 10).Draw(t, "labels")
		var raw []byte
		for _, l := range labels {
			raw = append(append(raw, byte(len(l))), l...)
		}
		raw = append(raw, 0)
		text, _, err := dns.UnpackDomainName(raw, 0)
		if err != nil {
			t.Fatal(err)
		}
		n, err := parseName(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		for i := range raw {
			if lower(raw[i]) != n[i] {
				t.Fatalf("%q: got %q, want %q", text, n, raw)
			}
		}
		if back, err := parseName(n.String()); err != nil || back != n {
			t.Fatalf("%q came back as %q, %v", n, back, err)
		}
	})
}

func TestUnder(t *testing.T) {
	f := func(name, zone string, want bool) {
		t.Helper()
		n, _ := parseName(name)
		z, _ := parseName(zone)
		if n.under(z) != want {
			t.Errorf("%s under %s: got %v", name, zone, !want)
		}
	}
	f("a.company.com", "company.com", true)
	f("company.com", "company.com", true)
	f("acompany.com", "company.com", false)
	f("com", "company.com", false)
	f("com", ".", true)
	f(`x\007company.com`, "company.com", false) // the same octets, another label
}
