package main

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"switchpoint/admin"
	"switchpoint/broker/client"
	"switchpoint/internal/covers"
	"switchpoint/internal/realserver"
)

// What the documents of the original tell admins to enter at their balancers, to the letter (AL3).
const (
	ecvSend = "GET /index.pl?action=is_alive"
	ecvRecv = "CB_IS_OKAY"
)

// vendor is a balancer as the documents set it up, in our words.
type vendor struct {
	name, scheme, method string
	front                string
	brokers              []string // addresses
}

// TestVendorBalancers puts real brokers behind our balancer set up as the documents of the original have
// NetScaler (HTTP-ECV monitor, LEASTRESPONSETIME, persistence of 300 s) and F5 LTM (http and https monitors,
// Fastest Node, Source Address Affinity), and after its own advice: round robin, and is_alive by load.
func TestVendorBalancers(t *testing.T) {
	covers.Req(t, "AL3")
	t.Setenv(asMain, "1")
	dir := shortDir(t)
	ca := realserver.NewCA(t)
	cert, key := ca.Issue("brokers")
	c := &fiveBrokers{t: t, dir: dir}
	c.write("setup.toml", vendorSetup)
	free := addresses(t, 8) // at once, so that none is given twice
	plain, secure, fronts := free[:2], free[2:4], free[4:]
	for i, kind := range []struct {
		name, tls string
		listen    []string
	}{
		{"plain", "", plain}, {"secure", fmt.Sprintf("cert = %q\nkey = %q\n", cert, key), secure},
	} {
		for site, address := range kind.listen {
			name := fmt.Sprintf("%s-%d", kind.name, site+1)
			c.write(name+".toml", fmt.Sprintf("[node]\nname = %q\nstate_dir = \"state/%s\"\n[broker]\ncluster = \"c%d\"\nsite_id = %d\nlisten = [%q]\ntrusted_proxies = [\"127.0.0.1\"]\nseed = \"setup.toml\"\n%s[broker.database]\npath = %q\n",
				name, name, i, site+1, address, kind.tls, filepath.Join(dir, kind.name+".db")))
			c.brokers = append(c.brokers, c.launch(name))
			t.Cleanup(c.brokers[len(c.brokers)-1].stop)
		}
	}
	vendors := []vendor{
		{"netscaler", "http", "netscaler-least-response-time", fronts[0], plain},
		{"f5-http", "http", "fastest-node", fronts[1], plain},
		{"f5-https", "https", "fastest-node", fronts[2], secure},
		{"own-advice", "http", "round-robin", fronts[3], plain},
	}
	c.write("lb.toml", vendorBalancer(vendors, ca.CertFile))
	c.lb = c.launch("lb")
	t.Cleanup(c.lb.stop)
	ctx, cancel := context.WithTimeout(t.Context(), startDeadline)
	defer cancel()
	for _, p := range append(c.brokers, c.lb) {
		if err := (&stage{}).await(ctx, p); err != nil {
			t.Fatal(err)
		}
	}
	c.until("all monitors find all brokers up", func() bool { return c.monitored("up") == 8 })
	for i, v := range vendors {
		c.step(v.name, func(t *testing.T) {
			first := c.signsInThrough(v, byte(10*i+1))
			for range 4 { // Source Address Affinity: 300 s, whatever the method says
				if again := c.signsInThrough(v, byte(10*i+1)); again != first {
					t.Errorf("a source that had broker %s was sent to %s", first, again)
				}
			}
		})
	}
	c.step("a broker that does not serve", func(t *testing.T) {
		c.brokers[0].stop()
		c.until("three monitors keep away from it", func() bool { return c.monitored("up") == 5 })
		for i, v := range vendors {
			for n := range 4 {
				if by := c.signsInThrough(v, byte(10*i+1+n)); by == "plain-1" {
					t.Errorf("%s sends users to a broker that does not say %s", v.name, ecvRecv)
				}
			}
		}
		c.brokers[0] = c.launch("plain-1")
		t.Cleanup(c.brokers[0].stop)
		c.until("it is used again", func() bool { return c.monitored("up") == 8 })
	})
}

// monitored counts the checks of the balancer that are in a state.
func (c *fiveBrokers) monitored(state string) (n int) {
	c.t.Helper()
	var checks []checkLine
	if err := ask(c.t.Context(), filepath.Join(c.dir, "state", "lb", admin.SocketName), "GET", "health", nil, &checks); err != nil {
		c.t.Fatal(err)
	}
	for _, check := range checks {
		if check.State == state {
			n++
		}
	}
	return n
}

// signsInThrough signs in from a source address and says which broker it was.
func (c *fiveBrokers) signsInThrough(v vendor, source byte) string {
	c.t.Helper()
	s, err := client.SignIn(c.t.Context(), client.Options{
		URL: "http://" + v.front, User: "ann", Password: "change-me", Source: netip.AddrFrom4([4]byte{127, 0, 9, source}), Timeout: 30 * time.Second,
	})
	if err != nil {
		c.t.Fatalf("sign in through %s: %v", v.name, err)
	}
	defer s.Close()
	return s.Outcome.Broker.Name
}

// vendorBalancer is a balancer with a listener, a pool and a monitor for each vendor.
func vendorBalancer(vendors []vendor, ca string) string {
	text := "[node]\nname = \"lb\"\nstate_dir = \"state/lb\"\n[lb]\n"
	for _, v := range vendors {
		text += fmt.Sprintf("[[monitor]]\nname = %q\nkind = %q\nsend = %q\nreceive = %q\ninterval = \"500ms\"\ntimeout = \"450ms\"\nfall = 2\nrise = 1\n", v.name, v.scheme, ecvSend, ecvRecv)
		tls := ""
		if v.scheme == "https" {
			text += fmt.Sprintf("ca = %q\n", ca)
			tls = fmt.Sprintf("tls = true\nca = %q\n", ca)
		}
		text += fmt.Sprintf("[[lb.listener]]\nname = %q\nlisten = %q\npool = %q\n[[lb.pool]]\nname = %q\nmonitor = %q\nlb_method = %q\npersistence = \"source-address\"\npersistence_timeout = \"300s\"\n%smembers = [{name = \"one\", address = %q}, {name = \"two\", address = %q}]\n",
			v.name, v.front, v.name, v.name, v.name, v.method, tls, v.brokers[0], v.brokers[1])
	}
	return text
}

// vendorSetup is a user and his desktop.
const vendorSetup = `[[user]]
name = "ann"
password = "$argon2id$v=19$m=19456,t=2,p=1$dgh+MI5qcCi12xAyJX31qQ$Q04T2EISKfJfsS8hRX7MZkgJewPJxedZilyhy+FEB+U"
[[desktop_pool]]
name = "own"
kind = "assigned"
check = "none"
[[desktop]]
name = "desk-1"
pool = "own"
host = "desk-1.company.com"
[[assignment]]
user = "ann"
desktop = "desk-1"
`
