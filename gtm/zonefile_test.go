package gtm

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/miekg/dns"

	"switchpoint/gtm/place"
)

const zoneHead = "$TTL 300\n@ SOA ns h 1 3600 600 604800 60\n@ NS ns\n"

// TestZoneFileRefused: every fault names the file and the line on which it stands.
func TestZoneFileRefused(t *testing.T) {
	f := func(place, what, text string) {
		t.Helper()
		_, err := parseZone("\x07company\x03com\x00", strings.NewReader(text), "dir/c.zone", nil)
		if err == nil {
			t.Errorf("accepted:\n%s", text)
			return
		}
		if msg := err.Error(); !strings.HasPrefix(msg, place+": ") || !strings.Contains(msg, what) {
			t.Errorf("got %q, want %q ... %q", msg, place, what)
		}
	}
	f("dir/c.zone:4", "bad A A", zoneHead+"www A 1.2.3.256\n")
	f("dir/c.zone:5", "\"AX\"", zoneHead+"; a comment\nwww AX 1.2.3.4\n")
	f("dir/c.zone:4", "outside of the zone", zoneHead+"www.example.org. A 1.2.3.4\nx A 1.2.3.4\n")
	f("dir/c.zone:6", "CNAME beside other", zoneHead+"a A 1.2.3.4\n\na CNAME b\nb A 1.2.3.4\n")
	f("dir/c.zone:5", "CNAME beside other", zoneHead+"a CNAME b\na A 1.2.3.4")
	f("dir/c.zone:5", "second CNAME", zoneHead+"a CNAME b\na CNAME c\n")
	f("dir/c.zone:5", "second DNAME", zoneHead+"a DNAME b\na DNAME c\n")
	f("dir/c.zone:4", "second SOA", zoneHead+"@ SOA ns h 2 3600 600 604800 60\n")
	f("dir/c.zone:7", "the zone is company.com.", zoneHead+"sub SOA ns h (\n 2 3600 600\n 604800 60\n )\n")
	f("dir/c.zone:4", "class CH", zoneHead+"x CH TXT \"x\"\n")
	f("dir/c.zone:1", "no SOA", "@ 300 NS ns\n")
	f("dir/c.zone:1", "no NS", "@ 300 SOA ns h 1 3600 600 604800 60\n")
	f("dir/c.zone:1", "no SOA", "")
	f("dir/c.zone:4", "$INCLUDE directive not allowed", zoneHead+"$INCLUDE /etc/passwd\n")
	f("dir/c.zone:4", "no type of zone data", zoneHead+"x TYPE250 \\# 0\n")
	f("dir/c.zone:4", "bad range", zoneHead+"$GENERATE 1-900000 h$ A 1.2.3.4\n")
	f("dir/c.zone:4100", "more than 4096 TXT", zoneHead+"@ TXT x1\n"+manyTXT(4096))
}

func manyTXT(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("@ TXT y" + strings.Repeat("z", i%40) + string(rune('a'+i/40%26)) + string(rune('a'+i/1040)) + "\n")
	}
	return b.String()
}

// TestZoneFileIncludes: an included file may lie beside the zone file and below, nowhere else.
func TestZoneFileIncludes(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "zones")
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(top, "secret"), "x A 192.0.2.1\n")
	write(filepath.Join(dir, "sub", "good.inc"), "x A 192.0.2.1\n")
	write(filepath.Join(dir, "bad.inc"), "\nx A 192.0.2\n")
	if err := os.Symlink(filepath.Join(top, "secret"), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	load := func(include string) (*zone, error) {
		file := filepath.Join(dir, "c.zone")
		write(file, zoneHead+"$INCLUDE "+include+"\n")
		return readZoneFile("\x07company\x03com\x00", file)
	}
	z, err := load("sub/good.inc")
	if err != nil || z.nodes["\x01x\x07company\x03com\x00"] == nil {
		t.Errorf("a good include: %v", err)
	}
	for _, way := range []string{"../secret", "link", filepath.Join(top, "secret"), "/etc/passwd", "none"} {
		if _, err := load(way); err == nil || !strings.Contains(err.Error(), "c.zone:4: ") {
			t.Errorf("include %s: got %v, want a refusal at c.zone:4", way, err)
		}
	}
	if _, err := load("bad.inc"); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "bad.inc")+":2: ") {
		t.Errorf("a fault in an included file: got %v", err)
	}
}

// TestZoneFileSets: repeated records count once, and a set has one TTL (RFC 2181).
func TestZoneFileSets(t *testing.T) {
	table := zoneTable(t, "c. 300 IN SOA a. b. 1 2 3 4 5\nc. 300 NS a.\nx.c. 300 A 192.0.2.1\nX.c. 100 A 192.0.2.2\nx.c. 200 A 192.0.2.1")
	ans := Resolve(table, unprobed(table), Question{Name: "x.c.", Type: typeA})
	if len(ans.Answer) != 2 || ans.Answer[0].Header().Ttl != 100 || ans.Answer[1].Header().Ttl != 100 {
		t.Errorf("got %v, want two records with the TTL 100", ans.Answer)
	}
}

// TestZoneFileLargeSets: repeated records of a large set count once, and the case of texts counts.
func TestZoneFileLargeSets(t *testing.T) {
	var text strings.Builder
	text.WriteString(zoneHead)
	for range 3 {
		for i := range 100 {
			fmt.Fprintf(&text, "x TXT t%d\nx TXT T%d\nm MX 1 h%d\nm %d MX 1 H%d\n", i, i, i, 100+i, i)
		}
	}
	z, err := parseZone(company, strings.NewReader(text.String()), "c.zone", nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(z.nodes["\x01x"+company].get(dns.TypeTXT)); n != 200 {
		t.Errorf("%d texts, want 200", n)
	}
	if n := len(z.nodes["\x01m"+company].get(dns.TypeMX)); n != 100 {
		t.Errorf("%d hosts, want 100", n)
	}
}

// FuzzZoneFile: no master file, with one that it may include, crashes the reader or makes it
// take more memory than a bound; faults say where; and every name of a zone answers.
func FuzzZoneFile(f *testing.F) {
	f.Add(zoneHead+"www A 192.0.2.1\n*.w CNAME www\nd DNAME w\nsub NS ns.sub\nns.sub AAAA ::1\n", "")
	f.Add(zoneHead+"$GENERATE 1-9 h$ A 192.0.2.$\n$GENERATE 0-200/50 ${5,4,x}.y 60 TXT \"a$$\" ${0,7,n}\n", "")
	f.Add(zoneHead+"$GENERATE 0-65535 h$ CNAME ${1,20,N}.x\n", "")
	f.Add(zoneHead+"x TYPE65400 \\# 4 0A000001\ny HTTPS 1 . alpn=h2 ipv4hint=192.0.2.1\nz TYPE1 \\# 4 (0A 00\n0001)\n", "")
	f.Add(zoneHead+"q CLASS1 TYPE16 \\# 3 026162\nr APL\ns LOC 42 21 54 N 71 06 18 W -24m 30m\n", "")
	f.Add(zoneHead+"$ORIGIN \\.\\255.company.com.\n@ TXT ( \"a\"\n b ; c\n)\n", "")
	f.Add(zoneHead+"$INCLUDE part.inc\n$INCLUDE part.inc sub\n\tTXT x\n", "a 5 IN A 192.0.2.1\n IN 6 AAAA ::1\n$TTL 7\n")
	f.Add(zoneHead+"$INCLUDE part.inc\n", "$INCLUDE part.inc\n")
	f.Add(zoneHead+"$INCLUDE ../part.inc\n$INCLUDE .\n", "")
	f.Add("$INCLUDE .\n", "")
	f.Add("@ 1 SOA . . 0 0 0 0 0\n@ 1 NS .\n* NS *\n*.* A 1.1.1.1", "")
	f.Fuzz(func(t *testing.T, text, include string) {
		const budget, memory = 1 << 17, 256 << 20
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		z, err := parseZoneWithin(budget, company, strings.NewReader(text), "f.zone", fstest.MapFS{"part.inc": {Data: []byte(include)}})
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > memory {
			t.Errorf("reading %d octets took %d", len(text)+len(include), took)
		}
		if err != nil {
			var at *faultAt
			if !errors.As(err, &at) || at.line < 1 || at.file == "" {
				t.Errorf("the error %q does not say where", err)
			}
			return
		}
		places, _ := place.Compile(place.Config{})
		table := &Table{zones: map[wireName]*zone{z.origin: z}, places: places}
		names := slices.Sorted(maps.Keys(z.nodes))
		for _, name := range names[:min(len(names), 100)] { // every name answers, and fits into a message
			for _, typ := range []uint16{typeA, typeNS, typeANY, typeSRV} {
				if msg := askPacket(t, table, name.String(), typ); msg.Rcode == rcodeFormErr || msg.Rcode == rcodeRefused {
					t.Errorf("%s: rcode %d", name, msg.Rcode)
				}
			}
		}
	})
}
