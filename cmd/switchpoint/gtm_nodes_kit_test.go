package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"switchpoint/admin"
	"switchpoint/internal/realserver"
	"switchpoint/peer"
)

// The times of the nodes under test. The machine that runs the test may be busy: margin is what a
// bound gets on top of what the configuration promises, patience is for things without a bound, and
// a node that says nothing for three reports must not be one that only had no processor.
const (
	sitesInterval = 400 * time.Millisecond // of the monitor
	sitesTimeout  = 350 * time.Millisecond
	sitesFall     = 2
	sitesReports  = 600 * time.Millisecond // between two of a node to another
	margin        = 3 * time.Second
	patience      = 30 * time.Second
)

// sitesNodes are the three gtm nodes by their [node] names; each stands on the host of the same
// name without the hyphen.
var sitesNodes = []string{"de-gtm", "uk-gtm", "us-gtm"}

// sitesServers are the hosts with an is_alive page: the members of the names, and what the nodes
// have as their anchor.
var sitesServers = []string{"us1", "us2", "uk1", "de1", "dr1", "anchor"}

// sitesClients stand for people at three places, by the subnet that their resolver sends (RFC 7871).
var sitesClients = map[string]string{"us": "198.18.1.0", "uk": "198.18.2.0", "de": "198.18.3.0"}

// sites is a company with three sites: a gtm node in each, in a network namespace of its own as
// everything else.
type sites struct {
	t       *testing.T
	dir     string
	net     *realserver.Network
	nodes   map[string]*process
	servers map[string]*process
}

// startSites starts everything and waits until the nodes serve.
func startSites(t *testing.T) *sites {
	t.Helper()
	// Not t.TempDir: a Unix socket's path may have only about 100 bytes.
	dir, err := os.MkdirTemp("", "sp-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	var hosts []string
	for _, n := range sitesNodes {
		hosts = append(hosts, hostOf(n))
	}
	s := &sites{
		t: t, dir: dir, net: realserver.StartNetwork(t, append(hosts, sitesServers...)...),
		nodes: map[string]*process{}, servers: map[string]*process{},
	}
	t.Cleanup(s.end)
	for _, name := range sitesServers {
		s.startServer(name)
	}
	s.writeConfigs()
	for _, name := range sitesNodes {
		s.startNode(name)
	}
	for _, name := range sitesNodes {
		s.awaitReady(name)
	}
	return s
}

func (s *sites) end() {
	for _, p := range s.nodes {
		if p.running() {
			_ = p.stdin.Close()
		}
	}
	for name, p := range s.nodes {
		p.stop()
		if s.t.Failed() {
			s.t.Logf("the log of %s:\n%s", name, s.log(name))
		}
	}
	for _, p := range s.servers {
		p.kill()
	}
}

func hostOf(node string) string { return strings.ReplaceAll(node, "-", "") }

func (s *sites) host(name string) *realserver.Host { return s.net.Host(hostOf(name)) }

// cut cuts a node from other nodes and servers, and from nobody else: the test reaches it still.
func (s *sites) cut(node string, from ...string) {
	s.t.Helper()
	var hosts []*realserver.Host
	for _, n := range from {
		hosts = append(hosts, s.host(n))
	}
	s.net.Partition(s.host(node), hosts...)
}

func (s *sites) state(node string) string { return filepath.Join(s.dir, node) }

// log is what a node has logged, over all of its starts.
func (s *sites) log(node string) string {
	text, err := os.ReadFile(s.nodes[node].log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// launch runs this test binary on a host, with a variable of the environment that says as what.
func (s *sites) launch(host, env string, args ...string) *process {
	s.t.Helper()
	p := &process{name: host, log: filepath.Join(s.dir, host+".log"), done: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	p.cmd = s.net.Host(host).Command(context.Background(), os.Args[0], args...)
	p.cmd.Env = append(os.Environ(), env, "SWITCHPOINT_COVERS=", "GORACE=atexit_sleep_ms=0")
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		s.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p
}

// isAliveEnv makes TestIsAlivePage the program of a host.
const isAliveEnv = "SWITCHPOINT_TEST_IS_ALIVE"

// TestIsAlivePage is a broker as far as monitors see one. It does nothing when it is not asked to.
func TestIsAlivePage(t *testing.T) {
	address := os.Getenv(isAliveEnv)
	if address == "" {
		return
	}
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("CB_IS_OKAY")) })
	server := http.Server{Addr: address, Handler: page, ReadHeaderTimeout: patience}
	t.Fatal(server.ListenAndServe())
}

func (s *sites) startServer(name string) {
	s.t.Helper()
	s.servers[name] = s.launch(name, isAliveEnv+"="+s.page(name), "-test.run=^TestIsAlivePage$")
	s.eventually(patience, name+" serves", func() error {
		conn, err := net.DialTimeout("tcp", s.page(name), time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err
	})
}

// page is where the is_alive page of a server is.
func (s *sites) page(server string) string {
	return net.JoinHostPort(s.host(server).Addr().String(), "80")
}

func (s *sites) startNode(name string) {
	p := s.launch(hostOf(name), asMain+"=1", "run", "-c", filepath.Join(s.dir, name+".toml"), "--until-eof")
	p.socket = filepath.Join(s.state(name), admin.SocketName)
	s.nodes[name] = p
}

// awaitReady waits until a node answers queries from known health.
func (s *sites) awaitReady(name string) {
	s.t.Helper()
	p := s.nodes[name]
	s.eventually(startDeadline, name+" serves", func() error {
		if !p.running() {
			s.t.Fatal(p.died())
		}
		ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Second)
		defer cancel()
		return admin.NewClient(p.socket).Ready(ctx)
	})
}

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

// eventually waits for a condition, which says what is still missing.
func (s *sites) eventually(limit time.Duration, what string, missing func() error) {
	s.t.Helper()
	for end := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		err := missing()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("not within %s: %s: %v", limit, what, err)
		}
	}
}

// answer asks a node from the test's own address in the network and names the hosts in the answer,
// sorted; another response code than success stands there as it is.
func (s *sites) answer(ctx context.Context, node, name, client string) ([]string, error) {
	q := new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA)
	opt := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
	opt.SetUDPSize(dns.DefaultMsgSize)
	opt.Option = append(opt.Option, &dns.EDNS0_SUBNET{
		Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: net.ParseIP(sitesClients[client]).To4(),
	})
	q.Extra = append(q.Extra, opt)
	c := dns.Client{Timeout: 2 * time.Second}
	m, _, err := c.ExchangeContext(ctx, q, net.JoinHostPort(s.host(node).Addr().String(), "53"))
	if err != nil {
		return nil, err
	}
	var out []string
	if m.Rcode != dns.RcodeSuccess {
		out = append(out, dns.RcodeToString[m.Rcode])
	}
	for _, rr := range m.Answer {
		if a, ok := rr.(*dns.A); ok {
			out = append(out, s.nameOf(a.A))
		}
	}
	slices.Sort(out)
	return out, nil
}

func (s *sites) nameOf(ip net.IP) string {
	a, _ := netip.AddrFromSlice(ip.To4())
	for _, name := range sitesServers {
		if s.host(name).Addr() == a {
			return name
		}
	}
	return ip.String()
}

// missing says how the answer of a node differs from the hosts that are wanted, as in "us1 us2".
func (s *sites) missing(node, name, client, want string) error {
	got, err := s.answer(s.t.Context(), node, name, client)
	if err != nil {
		return fmt.Errorf("%s: %w", node, err)
	}
	if text := strings.Join(got, " "); text != want {
		return fmt.Errorf("%s answers %q to clients in %s, want %q", node, text, client, want)
	}
	return nil
}

// allAnswer waits until all of the nodes give this answer.
func (s *sites) allAnswer(limit time.Duration, nodes []string, name, client, want string) {
	s.t.Helper()
	s.eventually(limit, fmt.Sprintf("%s for clients in %s is %s", name, client, want), func() error {
		var errs []error
		for _, n := range nodes {
			errs = append(errs, s.missing(n, name, client, want))
		}
		return errors.Join(errs...)
	})
}

// keeps asks nodes all the time until the function that it returns is called: what they answer to
// clients in a place must never be anything else. A query that is lost is asked again, as clients do.
func (s *sites) keeps(nodes []string, name, client, want string) (stop func()) {
	t := s.t
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	asked := make([]int, len(nodes))
	for i, node := range nodes {
		group.Go(func() {
			for ctx.Err() == nil {
				got, err := s.answer(ctx, node, name, client)
				if text := strings.Join(got, " "); err == nil && text != want {
					t.Errorf("at %s, after %d right answers, %s answered %q for %s to clients in %s, want %q",
						time.Now().UTC().Format("15:04:05.000"), asked[i], node, text, name, client, want)
					return
				} else if err == nil {
					asked[i]++
				}
				time.Sleep(10 * time.Millisecond) // the pace of the questions
			}
		})
	}
	end := func() {
		cancel()
		group.Wait()
	}
	t.Cleanup(end) // where the scene ends before it stops this
	return func() {
		t.Helper()
		end()
		for i, n := range asked {
			if n < 5 {
				t.Errorf("%s answered only %d times", nodes[i], n)
			}
		}
	}
}

// command runs `switchpoint gtm ...` for a node and wants it to succeed.
func (s *sites) command(node string, args ...string) string {
	s.t.Helper()
	code, out, errOut := s.try(node, args...)
	if code != 0 {
		s.t.Fatalf("switchpoint %q at %s: exit %d\n%s%s", args, node, code, out, errOut)
	}
	return out
}

// begin runs a command at the same time as others. The function that it returns waits for its end,
// wants success, and gives what it printed.
func (s *sites) begin(node string, args ...string) func() string {
	s.t.Helper()
	type result struct {
		code        int
		out, errOut string
	}
	t, done := s.t, make(chan result, 1)
	go func() {
		var r result
		r.code, r.out, r.errOut = cli(t, append(slices.Clone(args), "--node", s.state(node))...)
		done <- r
	}()
	return func() string {
		t.Helper()
		r := <-done
		if r.code != 0 {
			t.Fatalf("switchpoint %q at %s: exit %d\n%s%s", args, node, r.code, r.out, r.errOut)
		}
		return r.out
	}
}

func (s *sites) try(node string, args ...string) (code int, out, errOut string) {
	s.t.Helper()
	return cli(s.t, append(slices.Clone(args), "--node", s.state(node))...)
}

// shows waits until what a command prints for a node has all of these lines; runs of blanks count as
// one.
func (s *sites) shows(node string, args []string, want ...string) {
	s.t.Helper()
	s.eventually(patience, fmt.Sprintf("%q at %s shows %q", args, node, want), func() error {
		code, out, errOut := s.try(node, args...)
		if code != 0 {
			return fmt.Errorf("exit %d: %s", code, errOut)
		}
		flat := squeeze(out)
		for _, w := range want {
			if !strings.Contains(flat, w) {
				return fmt.Errorf("no %q in\n%s", w, out)
			}
		}
		return nil
	})
}

// squeeze makes a table independent of the widths of its columns.
func squeeze(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = strings.Join(strings.Fields(l), " ")
	}
	return strings.Join(lines, "\n")
}
