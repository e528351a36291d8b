package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"switchpoint/peer"
)

func (s *sites) writeConfigs() {
	s.t.Helper()
	keys := map[string]string{}
	for _, name := range sitesNodes {
		if err := os.MkdirAll(s.state(name), 0o700); err != nil {
			s.t.Fatal(err)
		}
		id, err := peer.LoadIdentity(s.state(name))
		if err != nil {
			s.t.Fatal(err)
		}
		keys[name] = id.PublicKey()
	}
	for _, name := range sitesNodes {
		text := s.config(name, keys)
		if err := os.WriteFile(filepath.Join(s.dir, name+".toml"), []byte(text), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
}

// config is the file of a node. The three differ only in the node itself and whom it trusts.
func (s *sites) config(node string, keys map[string]string) string {
	var trust strings.Builder
	for _, other := range sitesNodes {
		if other != node {
			fmt.Fprintf(&trust, "[[peer.trust]]\nname = %q\nkey = %q\naddress = \"ADDRESS-OF-%s:8445\"\n", other, keys[other], other)
		}
	}
	var replace []string
	for _, h := range sitesServers {
		replace = append(replace, "ADDRESS-OF-"+h, s.host(h).Addr().String())
	}
	for _, n := range sitesNodes {
		replace = append(replace, "ADDRESS-OF-"+n, s.host(n).Addr().String())
	}
	replace = append(replace, "NODE", node, "PLACE", strings.TrimSuffix(node, "-gtm"), "STATE", s.state(node),
		"TRUST", trust.String(), "INTERVAL", sitesInterval.String(), "TIMEOUT", sitesTimeout.String(),
		"FALL", strconv.Itoa(sitesFall), "REPORTS", sitesReports.String(), "MEMBERS", `"`+strings.Join(sitesNodes, `", "`)+`"`)
	// The trusts have addresses too.
	r := strings.NewReplacer(replace...)
	return r.Replace(r.Replace(sitesConfig))
}

const sitesConfig = `
[node]
name = "NODE"
datacenter = "PLACE"
state_dir = "STATE"

[[datacenter]]
name = "us"
[[datacenter]]
name = "uk"
[[datacenter]]
name = "de"

[peer]
listen = "ADDRESS-OF-NODE:8445"
TRUST

[[monitor]]
name = "is_alive"
kind = "http"
interval = "INTERVAL"
timeout = "TIMEOUT"
fall = FALL
rise = 1

[gtm]
listen = ["ADDRESS-OF-NODE:53"]

[gtm.nodes]
members = [MEMBERS]
anchors = ["ADDRESS-OF-anchor:80"]
interval = "REPORTS"

[[gtm.zone]]
origin = "company.com"
ns = ["de-gtm.company.net", "uk-gtm.company.net", "us-gtm.company.net"]

[[gtm.name]]
name = "cb.company.com"
ttl = "5s"
ttl_min = "1s"
monitor = "is_alive"

[[gtm.name.pool]]
datacenter = "us"
members = [{address = "ADDRESS-OF-us1", port = 80}, {address = "ADDRESS-OF-us2", port = 80}]

[[gtm.name.pool]]
datacenter = "uk"
members = [{address = "ADDRESS-OF-uk1", port = 80}]

[[gtm.name.pool]]
datacenter = "de"
members = [{address = "ADDRESS-OF-de1", port = 80}]

[[gtm.name]]
name = "bank.company.com"
between = "mode"
ttl = "5s"
ttl_min = "1s"
monitor = "is_alive"

[[gtm.name.pool]]
datacenter = "de"
members = [{address = "ADDRESS-OF-de1", port = 80}]

[[gtm.name.pool]]
datacenter = "uk"
mode = "dr"
members = [{address = "ADDRESS-OF-dr1", port = 80}]

[[gtm.topology]]
prefix = "198.18.1.0/24"
datacenters = ["us", "uk", "de"]

[[gtm.topology]]
prefix = "198.18.2.0/24"
datacenters = ["uk", "de", "us"]

[[gtm.topology]]
prefix = "198.18.3.0/24"
datacenters = ["de", "uk", "us"]
`
