package gtm

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"switchpoint/gtm/steer"
	"switchpoint/internal/covers"
	"switchpoint/internal/realserver"
)

// delegated is a node with zones of their own for a steered name and its services: the name
// servers stand in the parent zone, in the zone itself (glue), and in both.
func delegated(t *testing.T, parent string) Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "cb.zone")
	text := fmt.Sprintf("$ORIGIN cb.%s.\n$TTL 60\n@ SOA ns1 hostmaster 7 3600 600 604800 60\n@ NS ns1\n@ NS ns2.%s.\nns1 A 127.0.0.2\n", parent, parent)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Config{
		Listen: []string{"127.0.0.2:0"}, Datacenters: []string{"us"},
		Zones: []Zone{
			{Origin: "cb." + parent, File: file},
			{Origin: "_connection_broker._tcp." + parent, NS: []string{"ns2." + parent}},
			{Origin: "_connection_broker." + parent, NS: []string{"ns2." + parent}},
		},
		Names: []Name{{
			Name:  "cb." + parent,
			SRV:   []Service{{Name: "_connection_broker._tcp." + parent}, {Name: "_connection_broker." + parent, Target: steer.TargetName}},
			Pools: []Pool{{Datacenter: "us", Members: []Member{{Host: "lb.us." + parent, Address: "10.1.0.1", Port: 443}}}},
		}},
	}
}

func TestDelegationText(t *testing.T) {
	table, err := Compile(delegated(t, "company.com"), anyRef)
	if err != nil {
		t.Fatal(err)
	}
	list, err := table.Delegations("CB.company.com.")
	if err != nil || len(list) != 3 {
		t.Fatalf("%v, %v", list, err)
	}
	want := `delegation of cb.company.com, for the zone company.com

BIND, in the zone file (raise its serial):
  cb.company.com. 3600 IN NS ns1.cb.company.com.
  cb.company.com. 3600 IN NS ns2.company.com.
  ns1.cb.company.com. 3600 IN A 127.0.0.2

Active Directory, PowerShell on a DNS server:
  Add-DnsServerZoneDelegation -Name 'company.com' -ChildZoneName 'cb' -NameServer 'ns1.cb.company.com' -IPAddress 127.0.0.2
  Add-DnsServerZoneDelegation -Name 'company.com' -ChildZoneName 'cb' -NameServer 'ns2.company.com' -IPAddress (Resolve-DnsName 'ns2.company.com' -Type A_AAAA).IPAddress

Active Directory, the older dnscmd:
  dnscmd /RecordAdd company.com cb NS ns1.cb.company.com.
  dnscmd /RecordAdd company.com cb NS ns2.company.com.
  dnscmd /RecordAdd company.com ns1.cb A 127.0.0.2

Samba:
  samba-tool dns add SERVER company.com cb NS ns1.cb.company.com -U Administrator
  samba-tool dns add SERVER company.com cb NS ns2.company.com -U Administrator
  samba-tool dns add SERVER company.com ns1.cb A 127.0.0.2 -U Administrator

ns2.company.com lies outside of cb.company.com: it needs an address (A or AAAA) in its own zone.`
	if got := strings.Join(list[0].Lines(), "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	service := list[slices.IndexFunc(list, func(d Delegation) bool { return strings.Contains(d.Zone, "_tcp") })]
	if text := strings.Join(service.Lines(), "\n"); !strings.Contains(text, "-Name 'company.com' -ChildZoneName '_connection_broker._tcp'") {
		t.Errorf("the parent of the service's zone is company.com:\n%s", text)
	}
}

func TestDelegationRefused(t *testing.T) {
	cfg := delegated(t, "company.com")
	cfg.Zones = append(cfg.Zones, Zone{Origin: "example.com", NS: []string{"ns2.company.com"}})
	table, err := Compile(cfg, anyRef)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"_tcp.company.com":     "belongs to Active Directory",
		"_msdcs.company.com":   "such as _connection_broker._tcp.company.com",
		"com":                  "nobody's to delegate",
		".":                    "nobody's to delegate",
		"a..b":                 "empty label",
		"www.example.com":      "lies in the zone example.com; delegate that one",
		"cb.elsewhere.company": `origin = "cb.elsewhere.company"`,
	} {
		if list, err := table.Delegations(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v; want %q", name, list, err, want)
		}
	}
}

// parentZone is a zone file of the parent, with what else it holds.
func parentZone(origin, more string) string {
	return fmt.Sprintf("$ORIGIN %s.\n$TTL 60\n@ SOA ns0 hostmaster 1 3600 600 604800 60\n@ NS ns0\nns0 A 127.0.0.1\n%s", origin, more)
}

// TestDelegationVerified asks a real BIND as the parent: with the printed records everything is
// well; without them, with wrong ones and with a server that is lame it says which.
func TestDelegationVerified(t *testing.T) {
	covers.Req(t, "GT11")
	kinds := []string{"good.test", "none.test", "wrongglue.test", "noglue.test", "lame.test", "dead.test", "stray.test", "held.test"}
	tables := map[string]*Table{}
	zones := map[string]string{}
	for _, kind := range kinds {
		table, err := Compile(delegated(t, kind), anyRef)
		if err != nil {
			t.Fatal(err)
		}
		tables[kind] = table
		list, err := table.Delegations("cb." + kind)
		if err != nil {
			t.Fatal(err)
		}
		var printed []string
		for _, d := range list {
			printed = append(printed, d.bind()...)
		}
		text := strings.Join(printed, "\n") + "\nns2 A 127.0.0.3\n"
		switch kind {
		case "none.test":
			text = "ns2 A 127.0.0.3\n"
		case "wrongglue.test":
			text = strings.ReplaceAll(text, "IN A 127.0.0.2", "IN A 127.0.0.3")
		case "noglue.test":
			text = strings.ReplaceAll(text, "ns1.cb.noglue.test. 3600 IN A 127.0.0.2\n", "")
		case "lame.test": // 127.0.0.1 is the parent itself
			text = strings.ReplaceAll(text, "ns2 A 127.0.0.3", "ns2 A 127.0.0.4")
		case "dead.test":
			text = strings.ReplaceAll(text, "ns2 A 127.0.0.3", "ns2 A 127.0.0.5")
		case "stray.test":
			text = strings.ReplaceAll(text, "cb.stray.test. 3600 IN NS ns2.stray.test.", "cb.stray.test. 3600 IN NS old.stray.test.\nold A 127.0.0.3")
		}
		zones[kind] = parentZone(kind, text)
	}
	zones["cb.held.test"] = parentZone("cb.held.test", "")
	parent := realserver.BIND(t, realserver.DNSOptions{Zones: zones})
	port := netip.MustParseAddrPort(parent.Addr).Port()

	// Two nodes that have all of the zones, and one that has another.
	whole := Config{Datacenters: []string{"us"}}
	for _, kind := range kinds {
		c := delegated(t, kind)
		whole.Zones, whole.Names = append(whole.Zones, c.Zones...), append(whole.Names, c.Names...)
	}
	for _, listen := range []string{"127.0.0.2", "127.0.0.3"} {
		cfg := whole
		cfg.Listen = []string{fmt.Sprintf("%s:%d", listen, port)}
		startCompiled(t, cfg)
	}
	other := delegated(t, "elsewhere.test")
	other.Listen = []string{fmt.Sprintf("127.0.0.4:%d", port)}
	startCompiled(t, other)

	verify := func(kind string, v Verifier) []string {
		t.Helper()
		list, err := tables[kind].Delegations("cb." + kind)
		if err != nil {
			t.Fatal(err)
		}
		v.Port, v.Timeout = port, time.Second
		var lines []string
		for _, d := range list {
			for _, f := range v.Verify(t.Context(), d) {
				lines = append(lines, f.Line())
			}
		}
		return lines
	}
	for _, c := range []struct {
		kind string
		want []string // each of them in a line that begins with "-"; none: nothing is wrong
	}{
		{"good.test", nil},
		{"none.test", []string{"has no delegation of cb.none.test; add the records above to the zone none.test"}},
		{"wrongglue.test", []string{"(glue) of ns1.cb.wrongglue.test, and the zone itself has 127.0.0.2; in the zone wrongglue.test, give"}},
		{"noglue.test", []string{"has no address (glue) of ns1.cb.noglue.test"}},
		{"lame.test", []string{"127.0.0.4:", "is lame: it has no authority over cb.lame.test (REFUSED)"}},
		{"dead.test", []string{"ns2.dead.test at 127.0.0.5:", "does not answer over UDP", "does not answer over TCP"}},
		{"stray.test", []string{"lacks ns2.stray.test", "names old.stray.test, which is none"}},
		{"held.test", []string{"holds a zone cb.held.test of its own instead of a delegation"}},
	} {
		t.Run(c.kind, func(t *testing.T) {
			lines := verify(c.kind, Verifier{Servers: []string{parent.Addr}})
			var wrong []string
			for _, l := range lines {
				if !strings.HasPrefix(l, Good+" ") {
					wrong = append(wrong, l)
				}
			}
			text := strings.Join(wrong, "\n")
			for _, w := range c.want {
				if !strings.Contains(text, w) {
					t.Errorf("no %q in\n%s", w, strings.Join(lines, "\n"))
				}
			}
			if len(c.want) == 0 && len(wrong) > 0 {
				t.Errorf("wrong:\n%s", text)
			}
			if len(c.want) == 0 && !strings.Contains(strings.Join(lines, "\n"), "ns2.good.test at 127.0.0.3:") {
				t.Errorf("not every server was asked:\n%s", strings.Join(lines, "\n"))
			}
		})
	}
	t.Run("through a resolver", func(t *testing.T) { verifiesThroughResolver(t, verify, parent.Addr) })
}

// verifiesThroughResolver: the parent zone is found by name; and where it is not, the line says
// what to do.
func verifiesThroughResolver(t *testing.T, verify func(string, Verifier) []string, resolver string) {
	for _, l := range verify("good.test", Verifier{Resolvers: []string{resolver}}) {
		if !strings.HasPrefix(l, Good+" ") {
			t.Errorf("found by name: %s", l)
		}
	}
	dead, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = dead.Close()
	for _, v := range []Verifier{{Resolvers: []string{dead.LocalAddr().String()}}, {}} {
		text := strings.Join(verify("good.test", v), "\n")
		if !strings.Contains(text, "name a DNS server of the zone good.test with --server") {
			t.Errorf("%v: %s", v, text)
		}
	}
	if text := strings.Join(verify("good.test", Verifier{Servers: []string{dead.LocalAddr().String()}}), "\n"); !strings.Contains(text, "does not answer") {
		t.Errorf("a dead parent: %s", text)
	}
}

// startCompiled runs a node of a configuration until the test ends.
func startCompiled(t *testing.T, cfg Config) string {
	t.Helper()
	table, err := Compile(cfg, anyRef)
	if err != nil {
		t.Fatal(err)
	}
	_, addr := startServer(t, Options{Listen: cfg.Listen}, table)
	return addr
}

// TestServiceForms: the zone of its own, the bare form of old clients and an SRV record of a zone
// file whose target is a steered name all lead to members that serve (GT11).
func TestServiceForms(t *testing.T) {
	covers.Req(t, "GT11")
	cfg := delegated(t, "company.com")
	file := filepath.Join(t.TempDir(), "corp.zone")
	text := "$ORIGIN corp.test.\n$TTL 60\n@ SOA ns1.company.com. h.company.com. 1 3600 600 604800 60\n@ NS ns1.cb.company.com.\n" +
		"_connection_broker._tcp SRV 0 1 443 cb.company.com.\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.Zones = append(cfg.Zones, Zone{Origin: "corp.test", File: file}, Zone{Origin: "lb.us.company.com", NS: []string{"ns2.company.com"}})
	addr := startCompiled(t, cfg)
	for _, network := range []string{"udp", "tcp"} {
		for name, target := range map[string]string{
			"_connection_broker._tcp.company.com.": "lb.us.company.com.",
			"_connection_broker.company.com.":      "cb.company.com.",
			"_connection_broker._tcp.corp.test.":   "cb.company.com.",
		} {
			m := ask(t, network, addr, name, dns.TypeSRV)
			if len(m.Answer) != 1 || m.Answer[0].(*dns.SRV).Target != target || m.Answer[0].(*dns.SRV).Port != 443 {
				t.Errorf("%s %s: %v", network, name, m.Answer)
			}
			if got := addressesOf(m.Extra, target); !slices.Equal(got, []netip.Addr{netip.MustParseAddr("10.1.0.1")}) {
				t.Errorf("%s %s: ADDITIONAL has %v", network, name, m.Extra)
			}
			if !m.Authoritative {
				t.Errorf("%s %s: no authority", network, name)
			}
		}
	}
}
