package place

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"go4.org/netipx"

	"switchpoint/directory/sites"
)

// fatal is what a test and a rapid property have in common.
type fatal interface {
	Helper()
	Fatal(args ...any)
}

// network is a line of a database: prefix, continent, country, AS number.
type geoLine struct {
	prefix    string
	continent string
	country   string
	asn       uint32
}

// database writes a MaxMind database.
func database(t fatal, o mmdbwriter.Options, lines ...geoLine) []byte {
	t.Helper()
	o.DatabaseType, o.IncludeReservedNetworks = "GeoIP2-Test", true
	tree, err := mmdbwriter.New(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		record := mmdbtype.Map{}
		if l.continent != "" {
			record["continent"] = mmdbtype.Map{"code": mmdbtype.String(l.continent)}
		}
		if l.country != "" {
			record["country"] = mmdbtype.Map{"iso_code": mmdbtype.String(l.country), "geoname_id": mmdbtype.Uint32(7)}
		}
		if l.asn != 0 {
			record["traits"] = mmdbtype.Map{"autonomous_system_number": mmdbtype.Uint32(l.asn)}
		}
		if err := tree.Insert(netipx.PrefixIPNet(netip.MustParsePrefix(l.prefix)), record); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if _, err := tree.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// siteSet makes a set of "prefix site" subnets and "a b cost" links, with all sites that they name.
func siteSet(t fatal, subnets, links []string) *sites.Set {
	t.Helper()
	type object = map[string]any
	all := object{"source": "test", "read": "2026-01-01T00:00:00Z", "transitive": true}
	known := map[string]bool{}
	var siteList, subnetList, linkList []object
	site := func(name string) string {
		if !known[name] {
			known[name] = true
			siteList = append(siteList, object{"name": name})
		}
		return name
	}
	for _, s := range subnets {
		prefix, name, _ := strings.Cut(s, " ")
		subnetList = append(subnetList, object{"prefix": prefix, "site": site(name)})
	}
	for i, l := range links {
		var a, b string
		var cost int
		if _, err := fmt.Sscan(l, &a, &b, &cost); err != nil {
			t.Fatal(err)
		}
		linkList = append(linkList, object{"name": fmt.Sprint("link", i), "sites": []string{site(a), site(b)}, "cost": cost})
	}
	slices.SortFunc(subnetList, func(a, b object) int {
		p, _, _ := cut(a["prefix"].(string) + " ")
		q, _, _ := cut(b["prefix"].(string) + " ")
		return p.Compare(q)
	})
	all["sites"], all["subnets"], all["links"] = siteList, subnetList, linkList
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	set := new(sites.Set)
	if err := json.Unmarshal(text, set); err != nil {
		t.Fatal(err)
	}
	return set
}

func compiled(t testing.TB, cfg Config) *Table {
	t.Helper()
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	table, err := Compile(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// names writes an order with the names of datacenters.
func (c Config) names(order []int) string {
	out := make([]string, len(order))
	for i, dc := range order {
		out[i] = c.Datacenters[dc]
	}
	return strings.Join(out, " ")
}

// cut reads "prefix site".
func cut(s string) (prefix netip.Prefix, site string, ok bool) {
	text, site, ok := strings.Cut(s, " ")
	return netip.MustParsePrefix(text), site, ok
}

// writeIn puts a database into a file of a folder.
func writeIn(t fatal, dir string, data []byte) string {
	t.Helper()
	file := filepath.Join(dir, "random.mmdb")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
