package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"switchpoint/admin"
	"switchpoint/peer"
)

// pairMachines are the hosts of docs/lb-pair.md and their addresses, and the one that the clients of
// the test are on.
var pairMachines = map[string]string{
	"lb-1": "192.0.2.11", "lb-2": "192.0.2.12", "us1": "192.0.2.21", "us2": "192.0.2.22", "us3": "192.0.2.23",
	"pc": "198.51.100.7",
}

var pairBrokers = []string{"us1", "us2", "us3"}

const (
	floating = "192.0.2.10"
	// pairClients is how many clients there are, each with an address of its own.
	pairClients = 12
	// pairPause is between two requests of a client.
	pairPause = 20 * time.Millisecond
	// pairPatience is how long a client waits for an answer before it tries anew: longer than the
	// second after which the kernel asks again for a connection.
	pairPatience = 1200 * time.Millisecond
)

// The environment makes the test binary a broker or the clients.
const (
	pairBrokerEnv = "SWITCHPOINT_TEST_PAIR_BROKER"
	pairClientEnv = "SWITCHPOINT_TEST_PAIR_CLIENTS"
)

// TestPairBroker is a broker as far as this test needs one: it is alive, and says who it is. It does
// nothing when it is not asked to.
func TestPairBroker(t *testing.T) {
	name, address, asked := strings.Cut(os.Getenv(pairBrokerEnv), " ")
	if !asked {
		return
	}
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.RawQuery, "is_alive") {
			_, _ = io.WriteString(w, "CB_IS_OKAY")
			return
		}
		_, _ = io.WriteString(w, name)
	})
	server := http.Server{Addr: address, Handler: page, ReadHeaderTimeout: patience}
	t.Fatal(server.ListenAndServe())
}

// call is one request of a client.
type call struct {
	Client int       `json:"client"`
	At     time.Time `json:"at"`   // when it began
	Done   time.Time `json:"done"` // when it ended
	Member string    `json:"member,omitempty"`
	Err    string    `json:"err,omitempty"`
}

// TestPairClients is the clients: each asks for a page again and again, and prints how it went, until
// its standard input ends.
func TestPairClients(t *testing.T) {
	address := os.Getenv(pairClientEnv)
	if address == "" {
		return
	}
	out := json.NewEncoder(os.Stdout)
	var mu sync.Mutex
	for i := range pairClients {
		go func() {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(clientAddress(i))}}
			c := &http.Client{Timeout: pairPatience, Transport: &http.Transport{DialContext: d.DialContext}}
			for {
				one := call{Client: i, At: time.Now()}
				resp, err := c.Get("http://" + address + "/")
				if err == nil {
					var body []byte
					body, err = io.ReadAll(resp.Body)
					_ = resp.Body.Close()
					if one.Member = string(body); err == nil && resp.StatusCode != http.StatusOK {
						err = errors.New(resp.Status)
					}
				}
				if err != nil {
					one.Member, one.Err = "", err.Error()
				}
				one.Done = time.Now()
				mu.Lock()
				_ = out.Encode(one)
				mu.Unlock()
				time.Sleep(pairPause)
			}
		}()
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

func clientAddress(i int) string { return fmt.Sprintf("198.51.100.%d", 101+i) }

// pair is the company of docs/lb-pair.md.
type pair struct {
	*company
	page *page

	mu    sync.Mutex
	calls []call
}

// startPair makes the machines of the page with their files, and starts the brokers.
func startPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{company: newCompany(t, pairMachines), page: readPage(t, "lb-pair.md")}
	for _, name := range pairBrokers {
		p.launch(name, pairBrokerEnv+"="+name+" "+pairMachines[name]+":80", "-test.run=^TestPairBroker$")
	}
	t.Cleanup(func() {
		for _, name := range append(slices.Clone(pairBrokers), "pc") {
			if b := p.programs[name]; b != nil {
				b.kill()
			}
		}
	})
	for i := range pairClients {
		p.sh("pc", "ip addr add "+clientAddress(i)+"/32 dev eth0")
	}
	p.writeLB()
	p.writeKeepalived()
	return p
}

// writeLB writes the files of both balancers as the page has them. Their keys are made here.
func (p *pair) writeLB() {
	p.t.Helper()
	common := p.page.block(p.t, "toml", "[lb.nodes]")
	keys := []string{}
	for _, node := range []string{"lb-1", "lb-2"} {
		id, err := peer.LoadIdentity(p.state(node))
		if err != nil {
			p.t.Fatal(err)
		}
		keys = append(keys, "the key of "+node, id.PublicKey())
	}
	for _, node := range []string{"lb-1", "lb-2"} {
		own := p.page.block(p.t, "toml", fmt.Sprintf("[node]\nname = %q\n", node))
		p.write(node, "lb.toml", strings.NewReplacer(append(keys, "[node]\n", fmt.Sprintf("[node]\nstate_dir = %q\n", p.state(node)))...).Replace(own+common))
	}
}

// writeKeepalived writes the page's keepalived.conf of lb-1, and makes that of lb-2 by the lines in
// which it differs.
func (p *pair) writeKeepalived() {
	p.t.Helper()
	first := p.page.block(p.t, "keepalived", "vrrp_instance")
	second := first
	differ := strings.Split(strings.TrimSuffix(p.page.block(p.t, "keepalived-lb-2", "priority"), "\n"), "\n")
	for _, line := range differ {
		word, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "priority", "unicast_src_ip":
			second = replaceLine(p.t, second, word, line)
		case pairMachines["lb-1"]:
			second = replaceLine(p.t, second, pairMachines["lb-2"], line)
		}
	}
	for node, text := range map[string]string{"lb-1": first, "lb-2": second} {
		p.write(node, "keepalived.conf", strings.ReplaceAll(text, pageState, p.state(node)))
	}
}

// replaceLine replaces the one line that begins with a word.
func replaceLine(t *testing.T, text, word, by string) string {
	t.Helper()
	lines := strings.Split(text, "\n")
	i := slices.IndexFunc(lines, func(l string) bool {
		first, _, _ := strings.Cut(strings.TrimSpace(l), " ")
		return first == word
	})
	if i < 0 {
		t.Fatalf("no line %s in\n%s", word, text)
	}
	lines[i] = by
	return strings.Join(lines, "\n")
}

func (p *pair) write(node, name, text string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.etc(node), name), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// startLB runs a balancer with the page's file and waits until it serves.
func (p *pair) startLB(node string) {
	p.t.Helper()
	p.launch(node, asMain+"=1", "run", "-c", filepath.Join(p.etc(node), "lb.toml"), "--until-eof").socket = filepath.Join(p.state(node), admin.SocketName)
	p.awaitReady(node)
}

// startKeepalived runs it on a node until the end of the network.
func (p *pair) startKeepalived(node string) {
	p.t.Helper()
	log, err := os.OpenFile(filepath.Join(p.dir, node+"-keepalived.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	at := func(name string) string { return filepath.Join(p.state(node), name) }
	cmd := p.host(node).Command(context.Background(), "/usr/sbin/keepalived", "--dont-fork", "--log-console", "--log-detail", "--vrrp",
		"--use-file", filepath.Join(p.etc(node), "keepalived.conf"), "--pid", at("keepalived.pid"), "--vrrp_pid", at("vrrp.pid"))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	p.t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-done
		if text, err := os.ReadFile(log.Name()); err == nil && p.t.Failed() {
			p.t.Logf("keepalived of %s:\n%s", node, text[max(0, len(text)-4000):])
		}
	})
}

// holder names the nodes that have the floating address.
func (p *pair) holder() (names []string) {
	for _, node := range []string{"lb-1", "lb-2"} {
		if p.sh(node, "ip -brief address show dev eth0 to "+floating) != "" {
			names = append(names, node)
		}
	}
	return names
}

func (p *pair) awaitHolder(node string) {
	p.t.Helper()
	p.eventually(node+" has the address", func() error {
		if h := p.holder(); !slices.Equal(h, []string{node}) {
			return fmt.Errorf("it is at %v", h)
		}
		return nil
	})
}

// startClients lets them ask until the test ends.
func (p *pair) startClients() {
	p.t.Helper()
	cmd := p.host("pc").Command(context.Background(), os.Args[0], "-test.run=^TestPairClients$")
	cmd.Env = append(os.Environ(), pairClientEnv+"="+floating, "SWITCHPOINT_COVERS=")
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var one call
			if json.Unmarshal(lines.Bytes(), &one) == nil {
				p.mu.Lock()
				p.calls = append(p.calls, one)
				p.mu.Unlock()
			}
		}
		_ = cmd.Wait()
	}()
	p.t.Cleanup(func() {
		_ = in.Close()
		<-done
	})
}

// since gives the calls that began after a moment.
func (p *pair) since(from time.Time) (out []call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.calls {
		if c.At.After(from) {
			out = append(out, c)
		}
	}
	return out
}

// members gives the member of each client's newest answer after a moment, once all have had one.
func (p *pair) members(from time.Time) map[int]string {
	p.t.Helper()
	got := map[int]string{}
	p.eventually("all clients are served", func() error {
		for _, c := range p.since(from) {
			if c.Err == "" {
				got[c.Client] = c.Member
			}
		}
		if len(got) < pairClients {
			return fmt.Errorf("%d of %d are", len(got), pairClients)
		}
		return nil
	})
	return got
}

// outage is the longest time that a client was without an answer from a moment on, and how many
// requests failed; all are served again.
func (p *pair) outage(from time.Time) (longest time.Duration, failed int) {
	p.t.Helper()
	last := map[int]time.Time{}
	for _, c := range p.since(from) {
		if c.Err != "" {
			failed++
			continue
		}
		before, seen := last[c.Client]
		if !seen {
			before = from
		}
		longest = max(longest, c.Done.Sub(before))
		last[c.Client] = c.Done
	}
	return longest, failed
}
