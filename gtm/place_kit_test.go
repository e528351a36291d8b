package gtm

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/miekg/dns"
	"go4.org/netipx"

	"switchpoint/directory/sites"
)

// fatal is what a test and a rapid property have in common.
type fatal interface {
	Helper()
	Fatal(args ...any)
}

// forest reads "prefix site" subnets and "a b cost" links as ldifde would have exported them.
func forest(t fatal, subnets, links []string) *sites.Set {
	t.Helper()
	const below = ",CN=Sites,CN=Configuration,DC=corp,DC=test\n"
	var b strings.Builder
	known := map[string]bool{}
	site := func(name string) string {
		if !known[name] {
			known[name] = true
			fmt.Fprintf(&b, "dn: CN=%s%sobjectClass: site\n\n", name, below)
		}
		return "CN=" + name + below
	}
	for _, s := range subnets {
		prefix, name, _ := strings.Cut(s, " ")
		dn := site(name)
		fmt.Fprintf(&b, "dn: CN=%s,CN=Subnets%sobjectClass: subnet\nsiteObject: %s\n", prefix, below, dn)
	}
	for i, l := range links {
		var from, to string
		var cost int
		if _, err := fmt.Sscan(l, &from, &to, &cost); err != nil {
			t.Fatal(err)
		}
		a, z := site(from), site(to)
		fmt.Fprintf(&b, "dn: CN=link%d,CN=IP,CN=Inter-Site Transports%sobjectClass: siteLink\ncost: %d\nsiteList: %ssiteList: %s\n", i, below, cost, a, z)
	}
	set, err := sites.ReadLDIF(strings.NewReader(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	if p := set.Problems(); len(p) > 0 {
		t.Fatal("the forest has problems:", p)
	}
	return set
}

// countries writes a MaxMind database of "prefix country" lines into a file.
func countries(t fatal, dir string, lines ...string) string {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "GeoLite2-Country", IncludeReservedNetworks: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		prefix, country, _ := strings.Cut(l, " ")
		record := mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String(country)}}
		if err := tree.Insert(netipx.PrefixIPNet(netip.MustParsePrefix(prefix)), record); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if _, err := tree.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "countries.mmdb")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// subnet adds a client subnet as resolvers send it.
func subnet(s string) func(*dns.Msg) {
	p := netip.MustParsePrefix(s)
	family := byte(1)
	if p.Addr().Is6() {
		family = 2
	}
	data := append([]byte{0, family, byte(p.Bits()), 0}, p.Masked().Addr().AsSlice()[:(p.Bits()+7)/8]...)
	return with(optionSubnet, data...)
}

// scopeOf is the scope of an answer's client subnet, -1 where it has none.
func scopeOf(t testing.TB, m *dns.Msg) int {
	t.Helper()
	if data := option(t, m, optionSubnet); data != nil {
		return int(data[3])
	}
	return -1
}

// askFrom asks from one of the machine's own addresses.
func askFrom(t testing.TB, local, server string, q *dns.Msg) *dns.Msg {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(local)}, Timeout: 5 * time.Second}
	c := dns.Client{Dialer: &d, Timeout: 5 * time.Second}
	m, _, err := c.Exchange(q, server)
	if err != nil {
		t.Fatalf("ask from %s: %v", local, err)
	}
	return m
}

// only gives the one address of an answer.
func only(t testing.TB, m *dns.Msg) string {
	t.Helper()
	if len(m.Answer) != 1 {
		t.Fatalf("not one record: %v", m)
	}
	a, _ := addressOf(m.Answer[0])
	return a.String()
}
