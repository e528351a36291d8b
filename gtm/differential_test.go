package gtm

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"

	"switchpoint/internal/covers"
	"switchpoint/internal/realserver"
)

// asked1 is a question put to every server.
type asked1 struct {
	zone *randomZone
	name string
	typ  uint16
}

func (q asked1) String() string { return q.name + " " + dns.Type(q.typ).String() }

// view is what of an answer must be the same for every server: response code, AA and ANSWER;
// the SOA of a negative answer; the NS set and the glue of a referral.
type view struct {
	rcode  string
	aa     bool
	answer []string
	soa    []string
	ns     []string
	glue   []string
}

func (v view) String() string {
	return fmt.Sprintf("%s aa=%v answer=%q soa=%q ns=%q glue=%q", v.rcode, v.aa, v.answer, v.soa, v.ns, v.glue)
}

func (v view) equal(w view) bool { return v.String() == w.String() }

// viewOf takes the view of an answer.
func viewOf(m *dns.Msg) view {
	v := view{rcode: dns.RcodeToString[m.Rcode], aa: m.Authoritative, answer: canonical(m.Answer)}
	if m.Truncated {
		v.rcode += " truncated"
	}
	var ns []dns.RR
	for _, rr := range m.Ns {
		switch rr.(type) {
		case *dns.SOA:
			v.soa = append(v.soa, strings.ToLower(rr.String()))
		case *dns.NS:
			ns = append(ns, rr)
		}
	}
	// NS records stand in AUTHORITY of positive answers too, by some servers; a referral is
	// what has neither data of the type nor a SOA.
	if len(ns) == 0 || len(v.soa) > 0 || answersType(m) {
		return v
	}
	v.ns = canonical(ns)
	cut := strings.ToLower(ns[0].Header().Name)
	for _, rr := range ns {
		host := strings.ToLower(rr.(*dns.NS).Ns)
		for _, a := range m.Extra {
			if strings.ToLower(a.Header().Name) == host && dns.IsSubDomain(cut, host) {
				v.glue = append(v.glue, strings.ToLower(a.String()))
			}
		}
	}
	slices.Sort(v.glue)
	return v
}

// answersType says whether ANSWER holds what the question asks for.
func answersType(m *dns.Msg) bool {
	for _, rr := range m.Answer {
		if t := rr.Header().Rrtype; t == m.Question[0].Qtype || m.Question[0].Qtype == typeANY {
			return true
		}
	}
	return false
}

// TestLikeLiveServers asks this server and five others the same 5,000 random questions about
// the same random zones. Where BIND, Knot, NSD and PowerDNS agree, ours must agree with them;
// every other difference must be one of the deviations in deviations_test.go.
func TestLikeLiveServers(t *testing.T) {
	covers.Req(t, "GT1")
	const questions = 10_000
	var zones []*randomZone
	for i := range 16 {
		origin := fmt.Sprintf("zone%d.example.", i)
		zones = append(zones, newRandomZone(uint64(i), origin, i%2 == 0))
		if i%4 == 1 {
			zones = append(zones, newRandomZone(uint64(100+i), "child."+origin, false))
		}
	}
	var list []asked1
	for i := range questions {
		z := zones[i%len(zones)]
		name, typ := z.question()
		number, ok := parseType([]byte(typ))
		if !ok {
			t.Fatalf("no type %s", typ)
		}
		list = append(list, asked1{z, name, number})
	}
	all, plain, forPowerDNS := map[string]string{}, map[string]string{}, map[string]string{}
	for _, z := range zones {
		all[z.origin] = z.text()
		// PowerDNS answers SERVFAIL where a type that it knows stands in the form of RFC 3597.
		forPowerDNS[z.origin] = strings.ReplaceAll(z.text(), genericA, "A 192.0.2.7")
		if z.plain {
			plain[z.origin] = z.text()
		}
	}
	addrs := []string{
		serveZones(t, all),
		realserver.BIND(t, realserver.DNSOptions{Zones: all}).Addr,
		realserver.Knot(t, realserver.DNSOptions{Zones: all}).Addr,
		realserver.NSD(t, realserver.DNSOptions{Zones: all}).Addr,
		realserver.PowerDNS(t, realserver.DNSOptions{Zones: forPowerDNS}).Addr,
		realserver.Gdnsd(t, realserver.DNSOptions{Zones: plain}).Addr,
	}
	answers := make([][]*dns.Msg, len(addrs))
	var g errgroup.Group
	for i, addr := range addrs {
		g.Go(func() (err error) {
			answers[i], err = askAll(addr, list, func(q asked1) bool { return i < len(peers) || q.zone.plain })
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	compareAll(t, list, answers)
}

// peers are the servers after ours, in the order of the test; gdnsd is the last, and no part
// of the agreement, because it is asked only about plain zones.
var peers = []string{"BIND", "Knot", "NSD", "PowerDNS", "gdnsd"}

func compareAll(t *testing.T, list []asked1, answers [][]*dns.Msg) {
	used := map[string]int{}
	bad := 0
	complain := func(q asked1, who string, ours, theirs view) {
		t.Helper()
		if bad++; bad <= 20 {
			t.Errorf("%s:\nours: %v\n%s: %v", q, ours, who, theirs)
		}
	}
	for i, q := range list {
		if answers[0][i].Question[0].Name != q.name {
			t.Errorf("%s: the question came back as %s", q, answers[0][i].Question[0].Name)
		}
		ours := viewOf(answers[0][i])
		theirs := make([]view, len(peers))
		for p := range peers {
			if m := answers[p+1][i]; m != nil {
				theirs[p] = viewOf(m)
			}
		}
		agree := theirs[0].equal(theirs[1]) && theirs[0].equal(theirs[2]) && theirs[0].equal(theirs[3])
		if agree && !ours.equal(theirs[0]) && q.typ != typeANY {
			complain(q, "BIND, Knot, NSD and PowerDNS", ours, theirs[0])
			continue
		}
		for p, name := range peers {
			if answers[p+1][i] == nil || ours.equal(theirs[p]) {
				continue
			}
			if rule := explained(name, q, ours, theirs[p]); rule != "" {
				used[rule]++
			} else {
				complain(q, name, ours, theirs[p])
			}
		}
	}
	if bad > 0 {
		t.Errorf("%d differences are not explained", bad)
	}
	for _, d := range deviations {
		if t.Logf("%5d x %s", used[d.name], d.name); used[d.name] == 0 {
			t.Errorf("the deviation %q was never met: remove it", d.name)
		}
	}
}

// serveZones serves zones from files by a server of ours and gives its address.
func serveZones(t *testing.T, zones map[string]string) string {
	t.Helper()
	cfg := Config{Listen: []string{"127.0.0.1:0"}}
	for origin, text := range zones {
		file := t.TempDir() + "/zone"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg.Zones = append(cfg.Zones, Zone{Origin: origin, File: file})
	}
	table, err := Compile(cfg, anyRef)
	if err != nil {
		t.Fatal(err)
	}
	_, addr := startServer(t, Options{}, table)
	return addr
}

// askAll asks the questions over UDP, a window of them at a time, and gives the answers in
// their order; nil where asks says no.
func askAll(addr string, list []asked1, asks func(asked1) bool) ([]*dns.Msg, error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr)))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	const window, tries = 40, 10
	out := make([]*dns.Msg, len(list))
	var open []int
	for i := range list {
		if asks(list[i]) {
			open = append(open, i)
		}
	}
	for len(open) > 0 {
		batch := open[:min(window, len(open))]
		open = open[len(batch):]
		for try := 0; len(batch) > 0; try++ {
			if try == tries {
				return nil, fmt.Errorf("%s does not answer %s", addr, list[batch[0]])
			}
			if batch, err = exchangeBatch(conn, list, batch, out); err != nil {
				return nil, fmt.Errorf("ask %s: %w", addr, err)
			}
		}
	}
	return out, nil
}

// exchangeBatch sends some questions, their index as id, and gives those without an answer.
func exchangeBatch(conn *net.UDPConn, list []asked1, batch []int, out []*dns.Msg) (left []int, err error) {
	for _, i := range batch {
		m := new(dns.Msg).SetQuestion(list[i].name, list[i].typ).SetEdns0(udpSize, false)
		m.Id, m.RecursionDesired = uint16(i), false
		pkt, err := m.Pack()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", list[i], err)
		}
		if _, err := conn.Write(pkt); err != nil {
			return nil, err
		}
	}
	if err := conn.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return nil, err
	}
	buf := make([]byte, maxMessage)
	for missing := len(batch); missing > 0; {
		n, err := conn.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			return nil, err
		}
		m := new(dns.Msg)
		if err := m.Unpack(buf[:n]); err != nil {
			return nil, fmt.Errorf("a broken answer: %w", err)
		}
		if i := int(m.Id); slices.Contains(batch, i) && out[i] == nil {
			out[i], missing = m, missing-1
		}
	}
	return slices.DeleteFunc(slices.Clone(batch), func(i int) bool { return out[i] != nil }), nil
}
