package gtm

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/miekg/dns"

	"switchpoint/internal/covers"
)

const company = wireName("\x07company\x03com\x00")

// allRecords gives every record of a zone, canonical.
func allRecords(z *zone) []string {
	var rrs []dns.RR
	for _, n := range z.nodes {
		for _, s := range n.sets {
			rrs = append(rrs, s.rrs...)
		}
	}
	return onWire(rrs)
}

// onWire gives records as sorted text, one for each wire form: escapes that mean the same octet
// are the same.
func onWire(rrs []dns.RR) []string {
	buf := make([]byte, maxMessage)
	out := make([]dns.RR, len(rrs))
	for i, rr := range rrs {
		n, err := dns.PackRR(rr, buf, 0, nil, false)
		if err == nil {
			out[i], _, err = dns.UnpackRR(buf[:n], 0)
		}
		if err != nil {
			panic(err) // a record of a zone can be packed: reading it checks that
		}
	}
	return canonical(out)
}

// TestMasterFileLikeBIND reads a file with every oddity of the format and compares the records
// with those that BIND reads from it.
func TestMasterFileLikeBIND(t *testing.T) {
	covers.Req(t, "GT1")
	program, err := exec.LookPath("named-checkzone")
	if err != nil {
		t.Fatalf(`named-checkzone is not installed: run "make deps" (%v)`, err)
	}
	const dir = "testdata/master"
	cmd := exec.Command(program, "-D", "-k", "ignore", "-i", "none", "-s", "full", "-o", "-", "company.com", "tricky.zone")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("named-checkzone: %v", err)
	}
	var rrs []dns.RR
	for line := range strings.Lines(strings.TrimSuffix(string(out), "OK\n")) {
		rr, err := dns.NewRR(line)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		rrs = append(rrs, rr)
	}
	want := onWire(rrs)
	z, err := readZoneFile(company, filepath.Join(dir, "tricky.zone"))
	if err != nil {
		t.Fatal(err)
	}
	got := allRecords(z)
	for _, rr := range got {
		if !slices.Contains(want, rr) {
			t.Errorf("only ours: %s", rr)
		}
	}
	for _, rr := range want {
		if !slices.Contains(got, rr) {
			t.Errorf("only BIND: %s", rr)
		}
	}
	if len(want) < 40 {
		t.Errorf("BIND has read only %d records", len(want))
	}
}

// TestMasterFileFaults: what is refused, and where it says that.
func TestMasterFileFaults(t *testing.T) {
	f := func(place, what, text string) {
		t.Helper()
		_, err := parseZone(company, strings.NewReader(text), "c.zone", nil)
		if err == nil {
			t.Errorf("accepted:\n%.200s", text)
			return
		}
		if msg := err.Error(); !strings.HasPrefix(msg, place+": ") || !strings.Contains(msg, what) {
			t.Errorf("got %.300q, want %q ... %q", msg, place, what)
		}
	}
	f("c.zone:1", "no TTL", "@ SOA ns h 1 2 3 4 5\n")
	f("c.zone:4", "no data", zoneHead+"x A\n")
	f("c.zone:4", "no data", zoneHead+"x A")
	f("c.zone:4", "no data", zoneHead+"x A ; a comment\n")
	f("c.zone:4", "no data", zoneHead+"x TXT\n")
	f("c.zone:4", "A", zoneHead+"x A \\# 0\n")
	f("c.zone:4", "no type", zoneHead+"x 300 IN\n")
	f("c.zone:4", "no type", zoneHead+"x\n")
	f("c.zone:4", "bad TTL", zoneHead+"x 99999999999 A 1.2.3.4\n")
	f("c.zone:4", "bad TTL", zoneHead+"$TTL x\n")
	f("c.zone:4", "$TTL needs", zoneHead+"$TTL\n")
	f("c.zone:4", "$ORIGIN needs", zoneHead+"$ORIGIN a b\n")
	f("c.zone:4", "unknown directive $FOO", zoneHead+"$FOO a\n")
	f("c.zone:4", "empty label", zoneHead+"$ORIGIN a..b\n")
	f("c.zone:4", "empty label", zoneHead+"a..b A 1.2.3.4\n")
	f("c.zone:4", "more than 63", zoneHead+strings.Repeat("a", 64)+" A 1.2.3.4\n")
	f("c.zone:4", "longer than 255", zoneHead+strings.Repeat("a.", 125)+"b A 1.2.3.4\n")
	f("c.zone:4", "broken escape", zoneHead+"a\\999 A 1.2.3.4\n")
	f("c.zone:4", "quoted", zoneHead+"\"a\" A 1.2.3.4\n")
	f("c.zone:4", "end of the line", zoneHead+"a\\\nx A 1.2.3.4\n")
	f("c.zone:4", "never closed", zoneHead+"a TXT ( x\n\n\nb A 1.2.3.4\n")
	f("c.zone:4", "never opened", zoneHead+"a TXT x )\n")
	f("c.zone:4", "not closed on its line", zoneHead+"a TXT \"x\nb TXT \"y\"\n")
	f("c.zone:4", "NUL", zoneHead+"a TXT \x00\n")
	f("c.zone:1", "no owner", " 300 A 1.2.3.4\n")
	f("c.zone:4", "longer than", zoneHead+"a TXT "+strings.Repeat("x ", maxEntry)+"\n")
	f("c.zone:4", "bad A", zoneHead+"a A 01.2.3.4\n")
	f("c.zone:4", "bad A", zoneHead+"a A 1.2.3.4.5\n")
	f("c.zone:4", "garbage", zoneHead+"a A 1.2.3.4 5\n")
	f("c.zone:4", "SRV", zoneHead+"a SRV 1 2 65536 b\n")
	f("c.zone:4", "no type of zone data", zoneHead+"a OPT \\# 0\n")
	f("c.zone:4", "bad range", zoneHead+"$GENERATE 0-65536 h$ A 1.2.3.4\n")
	f("c.zone:4", "bad range", zoneHead+"$GENERATE 5-1 h$ A 1.2.3.4\n")
	f("c.zone:4", "bad range", zoneHead+"$GENERATE 1-5/0 h$ A 1.2.3.4\n")
	f("c.zone:4", "not closed", zoneHead+"$GENERATE 1-5 h${1 A 1.2.3.4\n")
	f("c.zone:4", "leads to -2", zoneHead+"$GENERATE 1-5 h${-3,0,d} A 1.2.3.4\n")
	f("c.zone:4", "base", zoneHead+"$GENERATE 1-5 h${0,0,q} A 1.2.3.4\n")
	f("c.zone:4", "offset or width", zoneHead+"$GENERATE 1-5 h${0,256,d} A 1.2.3.4\n")
	f("c.zone:4", "bad A A", zoneHead+"$GENERATE 255-256 h$ A 1.2.3.$\n")
	f("c.zone:4", "needs a range", zoneHead+"$GENERATE 1-5\n")
	f("c.zone:4", "directive", zoneHead+"$GENERATE 1-5 $$TTL $ x\n")
}

// TestMasterFileLimits: includes are bounded in depth, number and size.
func TestMasterFileLimits(t *testing.T) {
	read := func(files map[string]string, budget int) error {
		fsys := fstest.MapFS{}
		for name, text := range files {
			fsys[name] = &fstest.MapFile{Data: []byte(text)}
		}
		b := zoneBuilder{z: newZone(company)}
		m := masterReader{origin: company, includes: fsys, emit: b.add, budget: budget}
		return m.read(strings.NewReader(zoneHead+"$INCLUDE a\n"), "z/c.zone", "c.zone")
	}
	f := func(place, what string, files map[string]string, budget int) {
		t.Helper()
		err := read(files, budget)
		if err == nil || !strings.HasPrefix(err.Error(), place) || !strings.Contains(err.Error(), what) {
			t.Errorf("got %v, want %s ... %s", err, place, what)
		}
	}
	b := zoneBuilder{z: newZone(company)}
	full := masterReader{origin: company, emit: b.add, budget: 1000, generated: maxGenerateAll - 5}
	err := full.read(strings.NewReader(zoneHead+"$GENERATE 1-5 h$ A 192.0.2.$\n$GENERATE 1-1 x$ A 192.0.2.1\n"), "c.zone", "c.zone")
	if err == nil || !strings.HasPrefix(err.Error(), "c.zone:5: $GENERATE makes more than 1048576 records") {
		t.Errorf("too many generated records: %v", err)
	}
	f("z/a:1", "more than 8 deep", map[string]string{"a": "$INCLUDE a\n"}, 1000)
	twice := strings.Repeat("$INCLUDE b\n", maxIncludes)
	f("z/a:1000", "more than 1000 files", map[string]string{"a": twice, "b": ""}, 1<<20)
	f("z/a:9", "larger than", map[string]string{"a": strings.Repeat("\n", 100)}, len(zoneHead)+len("$INCLUDE a\n")+8)
	if err := read(map[string]string{"a": "$INCLUDE d/b\n", "d/b": "$INCLUDE c\n", "d/c": "x A 192.0.2.1\n"}, 1000); err != nil {
		t.Errorf("includes are relative to the file that includes: %v", err)
	}
}

// TestReloadKeepsTheOldZone: a zone file that became wrong is refused with its line, and the
// server goes on with what it has.
func TestReloadKeepsTheOldZone(t *testing.T) {
	covers.Req(t, "GT1")
	file := filepath.Join(t.TempDir(), "c.zone")
	cfg := Config{Listen: []string{"127.0.0.1:0"}, Zones: []Zone{{Origin: "company.com", File: file}}}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(zoneHead+text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("www A 192.0.2.1\n")
	table, err := Compile(cfg, anyRef)
	if err != nil {
		t.Fatal(err)
	}
	s, addr := startServer(t, Options{}, table)
	reload := func() error {
		next, err := Compile(cfg, anyRef)
		if err == nil {
			s.SetTable(next)
		}
		return err
	}
	answers := func(want string) {
		t.Helper()
		c := dns.Client{Net: "tcp", Timeout: time.Minute} // the machine may be busy
		m, _, err := c.Exchange(new(dns.Msg).SetQuestion("www.company.com.", dns.TypeA), addr)
		if err != nil || len(m.Answer) != 1 || !strings.HasSuffix(m.Answer[0].String(), want) {
			t.Errorf("got %v, %v; want %s", m, err, want)
		}
	}
	answers("192.0.2.1")
	write("www A 192.0.2.2\nbad A 192.0.2\n")
	wantProblem(t, reload(), "zone[0].file", fmt.Sprintf("%s:5: bad A A", file))
	answers("192.0.2.1")
	write("www A 192.0.2.2\n")
	if err := reload(); err != nil {
		t.Fatal(err)
	}
	answers("192.0.2.2")
}

// FuzzCommonRecord: a record that is read without the DNS library is the one that the library
// reads.
func FuzzCommonRecord(f *testing.F) {
	for _, data := range []string{
		"A 192.0.2.1", "A 1.2.3.256", "AAAA 2001:db8::1", "AAAA ::ffff:1.2.3.4", "NS a", "CNAME @", "DNAME a.b.", "PTR .",
		"MX 10 a", "SRV 1 2 3 a", `TXT a "b c" "" d`, "TXT " + strings.Repeat("x", 255), `TXT a"b"c`, "NS a-_*/x", "AAAA fe80::1%eth0",
	} {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data string) {
		var b recordBuilder
		budget := 1 << 16
		s := &source{
			entryReader: entryReader{r: bufio.NewReader(strings.NewReader("x 300 " + data)), budget: &budget},
			origin:      company, originText: company.String(),
		}
		if s.next() != nil || s.indent {
			return
		}
		h, at, err := s.head(1)
		if err != nil || h.Class != classIN || len(s.words) <= at {
			return
		}
		h.Name = "x.company.com."
		fast := b.common(s, h, s.words[at:])
		if fast == nil {
			return
		}
		slow, err := b.rare(s, h, s.from(at))
		if err != nil {
			t.Fatalf("%q: read as %v, but the library says: %v", data, fast, err)
		}
		if !slices.Equal(onWire([]dns.RR{fast}), onWire([]dns.RR{slow})) {
			t.Errorf("%q: read as %v, but the library reads %v", data, fast, slow)
		}
	})
}
