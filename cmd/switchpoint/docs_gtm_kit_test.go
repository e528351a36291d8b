package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"switchpoint/admin"
	"switchpoint/gtm"
	"switchpoint/internal/realserver"
)

// company is the company of a page, such as docs/gtm.md: each machine of the page is a host with the address that
// stands there, and a prompt such as `us-gtm$` says on which one a command runs.
type company struct {
	t        *testing.T
	dir      string // the machines' folders by name, and bin
	machines map[string]string
	net      *realserver.Network
	programs map[string]*process // by machine
}

// gtmMachines are the hosts and their addresses on the pages of gtm.
var gtmMachines = map[string]string{
	"us-gtm": "192.0.2.53", "us-lb": "192.0.2.80", "us-pc": "10.1.0.7",
	"uk-gtm": "198.51.100.53", "uk-lb": "198.51.100.80", "uk-pc": "10.2.0.7",
	"dns": "203.0.113.53", "bind": "203.0.113.54", "unbound": "203.0.113.55",
}

// What stands on the page for the folders of a node's state and of its configuration.
const (
	pageState = "/var/lib/switchpoint"
	pageEtc   = "/etc/switchpoint"
)

func hostName(machine string) string { return strings.ReplaceAll(machine, "-", "") }

// newCompany makes the machines, without anything that runs on them.
func newCompany(t *testing.T, machines map[string]string) *company {
	t.Helper()
	dir := shortDir(t)
	c := &company{t: t, dir: dir, machines: machines, programs: map[string]*process{}}
	var hosts []string
	for m := range machines {
		hosts = append(hosts, hostName(m))
		if err := errors.Join(os.MkdirAll(c.state(m), 0o700), os.MkdirAll(c.etc(m), 0o700)); err != nil {
			t.Fatal(err)
		}
	}
	c.net = realserver.StartNetwork(t, hosts...)
	t.Cleanup(c.end)
	for m, addr := range machines {
		c.sh(m, fmt.Sprintf("ip addr add %s/32 dev eth0 && ip route add default dev eth0 src %s", addr, addr))
	}
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err == nil {
		err = os.Symlink(self, filepath.Join(dir, "bin", "switchpoint"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *company) end() {
	for name, p := range c.programs {
		if strings.HasSuffix(name, "-lb") {
			p.kill()
			continue
		}
		p.stop()
		if text, err := os.ReadFile(p.log); err == nil && c.t.Failed() {
			c.t.Logf("the log of %s:\n%s", name, text[max(0, len(text)-4000):])
		}
	}
}

func (c *company) addr(machine string) netip.Addr { return netip.MustParseAddr(c.machines[machine]) }

func (c *company) host(machine string) *realserver.Host { return c.net.Host(hostName(machine)) }

func (c *company) state(machine string) string { return filepath.Join(c.dir, machine) }

func (c *company) etc(machine string) string { return filepath.Join(c.dir, "etc", machine) }

func (c *company) file(machine string) string { return filepath.Join(c.etc(machine), "gtm.toml") }

// launch runs this test binary on a machine, with a variable of the environment that says as what.
func (c *company) launch(machine, env string, args ...string) *process {
	c.t.Helper()
	p := &process{name: machine, log: filepath.Join(c.dir, machine+".log"), done: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	defer log.Close()
	p.cmd = c.host(machine).Command(context.Background(), os.Args[0], args...)
	p.cmd.Env = append(os.Environ(), env, "SWITCHPOINT_COVERS=", "GORACE=atexit_sleep_ms=0")
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if p.stdin, err = p.cmd.StdinPipe(); err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	c.programs[machine] = p
	return p
}

// startGTM runs a gtm node with the configuration that stands on the page for it.
func (c *company) startGTM(machine string) {
	c.t.Helper()
	p := c.launch(machine, asMain+"=1", "run", "-c", c.file(machine), "--until-eof")
	p.socket = filepath.Join(c.state(machine), admin.SocketName)
}

// awaitReady waits until the node answers queries from known health.
func (c *company) awaitReady(machine string) {
	c.t.Helper()
	p := c.programs[machine]
	c.eventually(machine+" serves", func() error {
		if !p.running() {
			c.t.Fatal(p.died())
		}
		return admin.NewClient(p.socket).Ready(c.t.Context())
	})
}

// startLB serves an is_alive page as the balancer of a datacenter does.
func (c *company) startLB(machine string) {
	c.launch(machine, isAliveEnv+"="+c.machines[machine]+":80", "-test.run=^TestIsAlivePage$")
}

// sees waits until all nodes that run say that the member at the address of a machine is in a state.
func (c *company) sees(machine, state string) {
	c.t.Helper()
	for _, node := range []string{"us-gtm", "uk-gtm"} {
		c.eventually(fmt.Sprintf("%s sees that %s is %s", node, machine, state), func() error {
			for _, n := range c.status(node).Names {
				for _, p := range n.Pools {
					for _, m := range p.Members {
						if strings.Contains(m.ID, "/"+c.machines[machine]+":") && m.State.String() != state {
							return fmt.Errorf("%s is %s", m.ID, m.State)
						}
					}
				}
			}
			return nil
		})
	}
}

// inTouch waits until the nodes hear each other, or do not, and in the first case have the same document.
func (c *company) inTouch(want bool) {
	c.t.Helper()
	for _, node := range []string{"us-gtm", "uk-gtm"} {
		c.eventually(node+" and the other node", func() error {
			for _, n := range c.status(node).Nodes {
				if !n.Self && (n.Live != want || want && !n.Newest) {
					return fmt.Errorf("%s: live %t, newest %t", n.Name, n.Live, n.Newest)
				}
			}
			return nil
		})
	}
}

func (c *company) status(node string) (s gtm.Status) {
	c.t.Helper()
	out := c.sh(node, "switchpoint gtm status --json --node "+pageState)
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		c.t.Fatalf("%v in\n%s", err, out)
	}
	return s
}

func (c *company) eventually(what string, missing func() error) {
	c.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		err := missing()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			c.t.Fatalf("not within %s: %s: %v", patience, what, err)
		}
	}
}

// sh runs a command line of the page on a machine and gives what it prints. The machine's own files
// stand for those of the page.
func (c *company) sh(machine, line string) string {
	c.t.Helper()
	line = strings.NewReplacer(pageState, c.state(machine), pageEtc, c.etc(machine)).Replace(line)
	cmd := c.host(machine).Command(c.t.Context(), "sh", "-c", line)
	cmd.Env = append(os.Environ(), asMain+"=1", "SWITCHPOINT_COVERS=", "GORACE=atexit_sleep_ms=0", "LC_ALL=C", "TZ=UTC",
		"HOME="+c.dir, "USER=olga", "LOGNAME=olga", "PATH="+filepath.Join(c.dir, "bin")+":"+os.Getenv("PATH"))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		c.t.Fatalf("%s: %v", line, err)
	}
	return strings.NewReplacer(c.state(machine), pageState, c.etc(machine), pageEtc).Replace(out.String())
}

// pageMasks take out what differs from run to run.
var pageMasks = []struct {
	what *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`<<>> DiG .* <<>>`), "<<>> DiG <<>>"},
	{regexp.MustCompile(`id: \d+`), "id: N"},
	{regexp.MustCompile(`COOKIE: [0-9a-f]+`), "COOKIE: C"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?( ?UTC|Z)?`), "MOMENT"},
	{regexp.MustCompile(`\b(\d+h)?(\d+m)?\d+(\.\d+)?(ns|µs|ms|s)\b`), "TIME"},
	{regexp.MustCompile(`\bin \d+\.\d ms$`), "in TIME"},
	{regexp.MustCompile(`serial \d+`), "serial N"},
	{regexp.MustCompile(`^[A-Za-z0-9+/]{43}=$`), "KEY"},
	{regexp.MustCompile(`^(switchpoint_\S+) \d+$`), "$1 N"},
	{regexp.MustCompile(`ttl \d+ s \(.*?\)( |$)`), "ttl N s (WHY)$1"},
	{regexp.MustCompile(`ttl: +\d+ s;.*`), "ttl: N s; WHY"},
	{regexp.MustCompile(`(TIME ago|never); .*?  `), "$1; TROUBLE  "},
	{regexp.MustCompile(` +`), " "}, // columns follow their contents
	{regexp.MustCompile(`\d+ (in flight|bound clients left)`), "N $1"},
	{regexp.MustCompile(`^( [+-] \S+ \S+ (up|draining) \S+) (-|\d+ %) \d+ \d+ `), "$1 SHARE N N "},
	{regexp.MustCompile(`^([+-] \S+ TIME ago nothing) \d+ \d+$`), "$1 N N"},
}

func maskedPage(s string) string {
	var out strings.Builder
	for line := range strings.Lines(s) {
		line = strings.TrimRight(line, " \n")
		for _, m := range pageMasks {
			line = m.what.ReplaceAllString(line, m.by)
		}
		out.WriteString(line + "\n")
	}
	return out.String()
}
