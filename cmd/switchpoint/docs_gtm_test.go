package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"switchpoint/configs"
	"switchpoint/internal/covers"
	"switchpoint/internal/realserver"
	"switchpoint/peer"
)

// The pages that are played, in this order, on one company: what one page sets up is there for the
// next one.
var gtmPages = []string{"gtm.md", "gtm-steering.md", "gtm-operating.md"}

// TestGTMPages does what docs/gtm.md and the pages after it tell administrators to do: nodes run with
// the configuration that stands there, a BIND has the parent zone that stands there, an Unbound and
// another BIND resolve with the recipes that stand there, and each command of a transcript prints what
// stands there. Comments such as <!-- test: start dns --> say what happens in between.
func TestGTMPages(t *testing.T) {
	covers.Req(t, "GT12")
	c := newCompany(t, gtmMachines)
	setup := readPage(t, gtmPages[0])
	c.configure(setup)
	c.writePlaces(readPage(t, "gtm-steering.md"))
	commands := 0
	for _, name := range gtmPages {
		p := readPage(t, name)
		commands += p.play(c, setup)
		if *update {
			p.write(t)
		}
	}
	if commands < 30 {
		t.Errorf("the pages have only %d commands", commands)
	}
	c.knowsMetrics()
}

// configure writes the files of both nodes as the page has them: the part of each and the common one.
// Their keys are made here and take the places of the words that stand there.
func (c *company) configure(p *page) {
	c.t.Helper()
	common := p.block(c.t, "toml", "[[gtm.topology]]")
	var keys []string
	for _, node := range []string{"us-gtm", "uk-gtm"} {
		id, err := peer.LoadIdentity(c.state(node))
		if err != nil {
			c.t.Fatal(err)
		}
		keys = append(keys, "the key of "+node, id.PublicKey())
	}
	for _, node := range []string{"us-gtm", "uk-gtm"} {
		own := p.block(c.t, "toml", fmt.Sprintf("[node]\nname = %q\n", node))
		text := strings.NewReplacer(append(keys, "[node]\n", fmt.Sprintf("[node]\nstate_dir = %q\n", c.state(node)), pageState, c.state(node))...).Replace(own + common)
		if err := os.WriteFile(c.file(node), []byte(text), 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
}

// writePlaces writes the files that the examples of the steering page make: places.toml, the export of
// a directory, and a database that has what the page asks it for. The example with a live directory is
// checked by itself, as it takes the place of the one with an export.
func (c *company) writePlaces(p *page) {
	c.t.Helper()
	dir := c.etc("us-gtm")
	base, err := os.ReadFile(c.file("us-gtm"))
	if err != nil {
		c.t.Fatal(err)
	}
	all, live := string(base), ""
	for _, b := range p.blocks("toml") {
		if strings.Contains(b, "urls = ") {
			live += b
			continue
		}
		all += b
	}
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "GeoLite2-Country"})
	if err == nil {
		_, network, _ := net.ParseCIDR("81.2.69.0/24")
		err = tree.Insert(network, mmdbtype.Map{"continent": mmdbtype.Map{"code": mmdbtype.String("EU")}})
	}
	var database bytes.Buffer
	if err == nil {
		_, err = tree.WriteTo(&database)
	}
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, "secrets"), 0o700)
	}
	for name, text := range map[string]string{
		"places.toml": all, "live.toml": string(base) + live, "sites.ldif": p.block(c.t, "ldif", "objectClass"),
		"GeoLite2-Country.mmdb": database.String(), "secrets/ldap": "secret\n",
	} {
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)
		}
	}
	if err != nil {
		c.t.Fatal(err)
	}
	for _, file := range []string{"places.toml", "live.toml"} {
		if _, err := configs.Load(filepath.Join(dir, file)); err != nil {
			c.t.Errorf("the examples of %s in %s: %v", p.name, file, err)
		}
	}
}

var stageDirection = regexp.MustCompile(`<!-- test: (.*?) -->`)

// play runs what the page says from top to bottom and returns how many commands there were.
func (p *page) play(c *company, setup *page) int {
	commands := 0
	for i, part := range p.parts {
		switch part.language {
		case "":
			for _, m := range stageDirection.FindAllStringSubmatch(part.text, -1) {
				c.direct(setup, strings.Fields(m[1]))
			}
		case "console":
			var out strings.Builder
			for _, x := range c.exchanges(part.text) {
				out.WriteString(x.prompt() + x.typed + "\n" + c.exchange(p.name, x))
				commands++
			}
			p.parts[i].text = out.String()
		}
	}
	return commands
}

// direct does what a comment of the page says.
func (c *company) direct(setup *page, words []string) {
	c.t.Helper()
	for _, machine := range words[1:] {
		switch verb := words[0]; {
		case verb == "start" && machine == "dns":
			c.startParent(setup)
		case verb == "start" && machine == "bind":
			realserver.BINDOn(c.t, realserver.HostDNSOptions{
				Host: c.host(machine), Addr: c.addr(machine), Config: setup.block(c.t, "named", "static-stub") + setup.block(c.t, "named", "forward only"),
			})
		case verb == "start" && machine == "unbound":
			realserver.Unbound(c.t, realserver.HostDNSOptions{
				Host: c.host(machine), Addr: c.addr(machine), Config: setup.block(c.t, "unbound", "subnetcache"),
			})
		case verb == "start" && strings.HasSuffix(machine, "-lb"):
			c.startLB(machine)
		case verb == "start" && strings.HasSuffix(machine, "-gtm"):
			c.startGTM(machine)
		case verb == "stop":
			c.programs[machine].kill()
		case verb == "ready":
			c.awaitReady(machine)
		case verb == "up" || verb == "down":
			c.sees(machine, verb)
		case verb == "lines":
			c.inTouch(machine == "join")
		case verb == "cut":
			c.net.Partition(c.host(machine), c.host("us-gtm"))
		case verb == "heal":
			c.net.Heal()
		default:
			c.t.Fatalf("the page says %q, which is nothing that this test can do", strings.Join(words, " "))
		}
	}
}

// startParent runs the parent zone's BIND. The records that people paste into it are those that
// the commands of the page print.
func (c *company) startParent(setup *page) {
	c.t.Helper()
	zone := setup.block(c.t, "dns-zone", "$ORIGIN company.com.")
	printed := 0
	for _, name := range []string{"cb.company.com", "bank.company.com"} {
		out := c.sh("us-gtm", "switchpoint gtm delegation "+name+" -c "+pageEtc+"/gtm.toml")
		for line := range strings.Lines(out) {
			if !strings.Contains(line, " 3600 IN ") {
				continue
			}
			printed++
			if !strings.Contains(zone, "\n"+strings.TrimSpace(line)+"\n") {
				c.t.Errorf("the parent zone of the page lacks %q", strings.TrimSpace(line))
			}
		}
	}
	if printed != 6 {
		c.t.Errorf("%d records are printed for the parent zone, want 6", printed)
	}
	realserver.BINDOn(c.t, realserver.HostDNSOptions{
		Host: c.host("dns"), Addr: c.addr("dns"),
		Config: setup.block(c.t, "named", "company.com.zone"), Files: map[string]string{"company.com.zone": zone},
	})
}

// changes are the commands that are run only once.
var changes = regexp.MustCompile(`^switchpoint (gtm (mode|force|release)|lb (drain|disable|enable|weight)) `)

// exchange runs a command and compares what it prints with the page. What only looks is asked again
// for a while, as health and the other node's word take their time; to write the page, until it
// prints the same twice.
func (c *company) exchange(name string, x exchange) string {
	c.t.Helper()
	once, last := changes.MatchString(x.typed), ""
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		got := c.sh(x.machine, x.typed)
		switch {
		case *update && (once || maskedPage(got) == maskedPage(last)):
			if maskedPage(got) == maskedPage(x.prints) {
				return x.prints
			}
			return got
		case *update:
			last = got
			time.Sleep(1200 * time.Millisecond)
		case maskedPage(got) == maskedPage(x.prints):
			return got
		case once || time.Now().After(end):
			c.t.Errorf("%s: %s%s\nprints:\n%s\nthe page has:\n%s", name, x.prompt(), x.typed, got, x.prints)
			return got
		}
	}
}

var metricWord = regexp.MustCompile(`switchpoint_[a-z_]+`)

// knowsMetrics: the metrics that the pages name are those of a running node.
func (c *company) knowsMetrics() {
	c.t.Helper()
	served := c.sh("us-gtm", "curl -s --unix-socket "+pageState+"/admin.sock http://node/metrics")
	var named []string
	for _, name := range gtmPages {
		text, err := os.ReadFile(pageFile(name))
		if err != nil {
			c.t.Fatal(err)
		}
		named = append(named, metricWord.FindAllString(string(text), -1)...)
	}
	slices.Sort(named)
	named = slices.Compact(named)
	if len(named) < 5 {
		c.t.Errorf("the pages name only the metrics %v", named)
	}
	for _, n := range named {
		if !strings.Contains(served, "\n"+n) {
			c.t.Errorf("the pages name the metric %s, which a node does not have", n)
		}
	}
}

// sambaLine is a command of the page for a Samba domain controller.
var sambaLine = regexp.MustCompile(`(?m)^ +samba-tool dns add SERVER company\.com (\S+) (\S+) (\S+) -U Administrator$`)

// TestSambaDelegation enters the samba-tool lines of docs/gtm.md into a real domain controller, which
// then has the delegations as they were meant.
func TestSambaDelegation(t *testing.T) {
	covers.Req(t, "GT11")
	text, err := os.ReadFile(pageFile("gtm.md"))
	if err != nil {
		t.Fatal(err)
	}
	lines := sambaLine.FindAllStringSubmatch(string(text), -1)
	if len(lines) != 4 {
		t.Fatalf("the page has %d samba-tool lines, want 4", len(lines))
	}
	s := realserver.Samba(t, realserver.SambaOptions{})
	s.Tool("dns", "zonecreate", s.Addr, "company.com")
	for _, l := range lines {
		s.Tool("dns", "add", s.Addr, "company.com", l[1], l[2], l[3])
	}
	for _, l := range lines {
		if out := s.Tool("dns", "query", s.Addr, "company.com", l[1], l[2]); !strings.Contains(out, "NS: "+l[3]+". (") {
			t.Errorf("%s %s of %s is not there:\n%s", l[2], l[3], l[1], out)
		}
	}
}
