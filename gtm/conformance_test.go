package gtm

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"switchpoint/gtm/place"
	"switchpoint/internal/covers"
)

// lookupCase is one line of the collected lookups on which BIND, NSD, Knot and PowerDNS agree.
type lookupCase struct {
	ID         int
	Zone       string
	Qname      string
	Qtype      string
	Rcode      string
	AA         bool
	Answer     []string
	Authority  []string
	Additional []string
	DNAME      bool
	Tag        string
}

// TestLookupsLikeOtherServers asks a running server each collected lookup of its own zone, over
// one connection, and compares response code, AA and the ANSWER set, and of referrals the NS
// set and the glue.
func TestLookupsLikeOtherServers(t *testing.T) {
	f, err := os.Open("../../shared/data/dns/cases.jsonl.gz")
	if errors.Is(err, fs.ErrNotExist) {
		t.Log("the collected lookup cases are not part of the source tree; nothing was compared")
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	covers.Req(t, "GT1")
	s, addr := startServer(t, Options{}, nil)
	conn, err := dns.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	gz, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(gz)
	lines.Buffer(nil, 1<<20)
	n := 0
	for lines.Scan() {
		var c lookupCase
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		s.SetTable(zoneTable(t, c.Zone))
		c.run(t, conn)
		n++
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if n < 2700 {
		t.Fatalf("only %d cases were read", n)
	}
}

func (c lookupCase) run(t *testing.T, conn *dns.Conn) {
	t.Helper()
	msg, _, err := (&dns.Client{Timeout: time.Minute}).ExchangeWithConn(new(dns.Msg).SetQuestion(dns.Fqdn(c.Qname), dns.StringToType[c.Qtype]), conn)
	if err != nil {
		t.Fatalf("case %d: %v", c.ID, err)
	}
	if got := dns.RcodeToString[msg.Rcode]; got != c.Rcode || msg.Authoritative != c.AA {
		t.Errorf("case %d (%s): %s %s: got %s aa=%v, want %s aa=%v\n%s", c.ID, c.Tag, c.Qname, c.Qtype, got, msg.Authoritative, c.Rcode, c.AA, c.Zone)
	}
	if got, want := canonical(msg.Answer), canonicalText(t, c.Answer); !slices.Equal(got, want) {
		t.Errorf("case %d (%s): %s %s: answer\n got %q\nwant %q\n%s", c.ID, c.Tag, c.Qname, c.Qtype, got, want, c.Zone)
	}
	referral := len(c.Authority) > 0 && strings.Contains(c.Authority[0], " NS ") && len(c.Answer) == 0
	if !referral {
		return
	}
	if got, want := canonical(msg.Ns), canonicalText(t, c.Authority); !slices.Equal(got, want) {
		t.Errorf("case %d (%s): %s %s: referral\n got %q\nwant %q\n%s", c.ID, c.Tag, c.Qname, c.Qtype, got, want, c.Zone)
	}
	got := canonical(msg.Extra)
	for _, glue := range canonicalText(t, c.Additional) {
		if !slices.Contains(got, glue) {
			t.Errorf("case %d (%s): %s %s: glue %q is missing\n%s", c.ID, c.Tag, c.Qname, c.Qtype, glue, c.Zone)
		}
	}
}

// zoneTable makes a table of one zone from master-file text that starts with the SOA.
func zoneTable(t testing.TB, text string) *Table {
	t.Helper()
	origin, err := parseName(strings.Fields(text)[0])
	if err != nil {
		t.Fatal(err)
	}
	z, err := parseZone(origin, strings.NewReader(text+"\n"), "test.zone", nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	places, err := place.Compile(place.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return &Table{zones: map[wireName]*zone{origin: z}, places: places}
}

// askPacket asks by packet, as over TCP.
func askPacket(t testing.TB, table *Table, name string, typ uint16) *dns.Msg {
	t.Helper()
	q := new(dns.Msg).SetQuestion(dns.Fqdn(name), typ)
	pkt, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	wire, _ := respond(table, unprobed(table), request{packet: pkt, client: netip.MustParseAddr("192.0.2.1"), tcp: true}, nil)
	msg := new(dns.Msg)
	if err := msg.Unpack(wire); err != nil {
		t.Fatal(err)
	}
	return msg
}

// canonical gives records as sorted lower-case text, each once.
func canonical(rrs []dns.RR) []string {
	var out []string
	for _, rr := range rrs {
		if rr.Header().Rrtype != dns.TypeOPT {
			out = append(out, strings.ToLower(rr.String()))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func canonicalText(t testing.TB, lines []string) []string {
	t.Helper()
	var rrs []dns.RR
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		rrs = append(rrs, rr)
	}
	return canonical(rrs)
}
