package logins

import (
	"cmp"
	"fmt"
	"net"
	"strings"

	"switchpoint/bench/ldapserver"
)

// steered is the name that clients are told; gtm steers it.
const steered = "cb.bench.test"

// zone is where steered lies.
const zone = "bench.test"

// nodeConfig is how every configuration begins. Checks run at their default pace.
func (c *chain) nodeConfig(name string) string {
	return fmt.Sprintf(`[node]
name = %q
datacenter = "here"
state_dir = %q

[log]
level = "warn"

[[datacenter]]
name = "here"
`, name, c.state(name))
}

func (c *chain) monitor() string {
	return fmt.Sprintf("\n[[monitor]]\nname = \"is_alive\"\nkind = \"https\"\nca = %q\n", c.stage.ca.CAFile())
}

func (c *chain) gtmConfig() string {
	host, port, _ := net.SplitHostPort(c.lbAddr) // ports has made it
	return c.nodeConfig("gtm") + c.monitor() + fmt.Sprintf(`
[gtm]
listen = [%q]

[[gtm.zone]]
origin = %q
ns = ["ns.bench.example"]

[[gtm.name]]
name = %q
ttl = "30s"
monitor = "is_alive"

[[gtm.name.pool]]
datacenter = "here"
members = [{host = "lb.bench.example", address = %q, port = %s}]
`, c.dnsAddr, zone, steered, host, port)
}

func (c *chain) lbConfig() string {
	cert, key := c.stage.ca.Files("lb")
	var b strings.Builder
	b.WriteString(c.nodeConfig("lb") + c.monitor())
	fmt.Fprintf(&b, `
[lb]

[[lb.listener]]
name = "https"
listen = %q
pool = "brokers"
cert = %q
key = %q

[[lb.pool]]
name = "brokers"
monitor = "is_alive"
tls = true
ca = %q
`, c.lbAddr, cert, key, c.stage.ca.CAFile())
	if c.spec.spread {
		b.WriteString("persistence = \"none\"\n")
	}
	b.WriteString("members = [\n")
	for i, a := range c.brokerAddrs {
		fmt.Fprintf(&b, "  {name = %q, address = %q},\n", brokerName(i), a)
	}
	b.WriteString("]\n")
	return b.String()
}

func brokerName(i int) string { return fmt.Sprintf("broker-%d", i+1) }

func (c *chain) brokerConfig(i int) string {
	var b strings.Builder
	b.WriteString(c.nodeConfig(brokerName(i)))
	fmt.Fprintf(&b, `
[broker]
cluster = "bench"
site_id = %d
listen = [%q]
seed = %q
trusted_proxies = [%q]
`, i+1, c.brokerAddrs[i], c.file("home.broker.toml"), c.stage.host)
	if !c.spec.plain {
		cert, key := c.stage.ca.Files("broker")
		fmt.Fprintf(&b, "cert = %q\nkey = %q\n", cert, key)
	}
	if c.spec.sqlite {
		fmt.Fprintf(&b, "\n[broker.database]\nkind = \"sqlite\"\npath = %q\n", c.file("broker.db"))
	} else {
		fmt.Fprintf(&b, "\n[broker.database]\nkind = \"postgres\"\nhosts = [%q]\nname = %q\npassword = %q\ntls = \"off\"\n",
			cmp.Or(c.spec.postgres, c.stage.pg.Addr), c.database, "file:"+c.stage.file("password"))
	}
	if c.spec.outage != "" {
		fmt.Fprintf(&b, "\n[broker.outage]\n%s", c.spec.outage)
	}
	return b.String()
}

// setup is what the database begins with: the directory, and desktops that need no dial.
func (c *chain) setup() string {
	var b strings.Builder
	fmt.Fprintf(&b, `[[directory]]
name = "corp"
servers = [%q]
ca = %q
base_dn = %q
bind_dn = %q
bind_password = %q
user_filter = "(uid={user})"

[[desktop_pool]]
name = "floor"
kind = "pooled"
check = "none"

[[policy]]
name = "everybody"
desktop_pools = ["floor"]
`, c.spec.directory, c.stage.ca.CAFile(), ldapserver.Base, ldapserver.Service, "file:"+c.stage.file("password"))
	for i := range c.spec.desktops {
		fmt.Fprintf(&b, "\n[[desktop]]\nname = \"desk-%d\"\npool = \"floor\"\nhost = \"desk-%d.bench.example\"\n", i+1, i+1)
	}
	if c.spec.owned > 0 {
		b.WriteString("\n[[desktop_pool]]\nname = \"own\"\nkind = \"assigned\"\ncheck = \"none\"\n")
	}
	for i := range c.spec.owned {
		fmt.Fprintf(&b, "\n[[desktop]]\nname = \"own-%d\"\npool = \"own\"\nhost = \"own-%d.bench.example\"\n", i+1, i+1)
		fmt.Fprintf(&b, "\n[[assignment]]\nuser = %q\ndesktop = \"own-%d\"\n", ldapserver.UserName(i), i+1)
	}
	return b.String()
}
