package realserver

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Network is a switch with several hosts, each a network namespace of its own, and the test
// itself, which stands in the namespace that it always was in:
//
//	host --.
//	host --+-- switch (a bridge in a namespace) -- the test
//	host --'
//
// The switch has a namespace too so that no firewall of the machine sees what the hosts say to
// each other. Partition and Isolate cut it there, one pair of ports from the other: frames vanish,
// nobody is told, and open connections hang as they do when a line is dead. HalfOpen, Forget and
// Host.Restart are the ways in which one side believes in a connection and the other does not.
type Network struct {
	t      testing.TB
	name   string // of the switch's namespace and of the test's interface
	ip     string // the program
	nft    string
	subnet netip.Prefix
	hosts  []*Host
}

// Host is one machine of a Network. It lasts as long as its network.
type Host struct {
	net  *Network
	name string
	port int // on the switch, from 1; that of the test is 0
}

const maxHosts = 100

var hostName = regexp.MustCompile(`^[a-z0-9]{1,16}$`)

// StartNetwork makes a network with a host of each name for the length of the test. The names are
// of small letters and digits. It needs root.
func StartNetwork(t testing.TB, names ...string) *Network {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("hosts in networks of their own need root: run the tests as root")
	}
	if len(names) == 0 || len(names) > maxHosts {
		t.Fatalf("a network of %d hosts: ask for 1 to %d", len(names), maxHosts)
	}
	n := &Network{t: t, ip: findProgram(t, "ip", "/usr/sbin", "/sbin"), nft: findProgram(t, "nft", "/usr/sbin", "/sbin")}
	seen := make(map[string]bool)
	for i, name := range names {
		if !hostName.MatchString(name) || seen[name] {
			t.Fatalf("%q is no name for a host, or there are two of it", name)
		}
		seen[name] = true
		n.hosts = append(n.hosts, &Host{net: n, name: name, port: i + 1})
	}
	if err := n.start(t.Context()); err != nil {
		t.Fatalf("make a network of hosts: %v", err)
	}
	return n
}

// Addr is the test's own address in the network: hosts reach there what the test listens on.
func (n *Network) Addr() netip.Addr { return n.addr(0) }

// Host is the host of that name.
func (n *Network) Host(name string) *Host {
	n.t.Helper()
	for _, h := range n.hosts {
		if h.name == name {
			return h
		}
	}
	n.t.Fatalf("the network has no host %q", name)
	return nil
}

// Partition cuts a from each of the others, in both directions. All else goes on; the test still
// reaches both sides. Cuts add up until Heal.
func (n *Network) Partition(a *Host, others ...*Host) {
	n.t.Helper()
	var ports []int
	for _, h := range others {
		ports = append(ports, h.port)
	}
	n.cut("cut", a.port, ports)
}

// Isolate cuts h from everybody, the test too.
func (n *Network) Isolate(h *Host) {
	n.t.Helper()
	n.cut("cut", h.port, n.allBut(h))
}

// HalfOpen lets TCP connections to and from h be opened by both sides, as far as they can tell, and then
// carry nothing; those that were open before carry nothing either.
func (n *Network) HalfOpen(h *Host) {
	n.t.Helper()
	n.cut("handshakes", h.port, n.allBut(h))
}

// Forget drops all that belongs to TCP connections with one of these ports, as a firewall does that has
// lost its memory: connections that are opened afterwards, from other ports, work.
func (n *Network) Forget(ports ...uint16) {
	n.t.Helper()
	for _, p := range ports {
		n.filter(fmt.Sprintf("add element bridge switch forgotten { %d }", p))
	}
}

// Heal ends all cuts.
func (n *Network) Heal() {
	n.t.Helper()
	n.filter("flush set bridge switch cut\nflush set bridge switch handshakes\nflush set bridge switch forgotten")
}

// allBut are the ports of everybody else.
func (n *Network) allBut(h *Host) []int {
	ports := []int{0}
	for _, other := range n.hosts {
		if other != h {
			ports = append(ports, other.port)
		}
	}
	return ports
}

func (n *Network) cut(set string, a int, others []int) {
	n.t.Helper()
	var pairs []string
	for _, b := range others {
		pairs = append(pairs, fmt.Sprintf("%s . %s", port(a), port(b)), fmt.Sprintf("%s . %s", port(b), port(a)))
	}
	if len(pairs) > 0 {
		n.filter("add element bridge switch " + set + " { " + strings.Join(pairs, ", ") + " }")
	}
}

func (n *Network) filter(rules string) {
	n.t.Helper()
	if err := n.rules(context.Background(), rules); err != nil {
		n.t.Fatalf("change what the switch lets through: %v", err)
	}
}

// Name is the name that the network was started with.
func (h *Host) Name() string { return h.name }

// Addr is the host's address. It may take others of the same /24 above .200.
func (h *Host) Addr() netip.Addr { return h.net.addr(h.port) }

// Restart ends all that runs on h and its kernel with it, without a word to anybody, and starts it again:
// it knows of no connection that there was, and says so to whoever goes on with one (RST).
func (h *Host) Restart() {
	h.net.t.Helper()
	if err := h.restart(context.Background()); err != nil {
		h.net.t.Fatalf("restart host %s: %v", h.name, err)
	}
}

// childDelay is how long a command of a host may take to close its output after its end.
const childDelay = 5 * time.Second

// Command prepares a program that runs on h: all it says and hears goes over h's one interface,
// eth0, and its own loopback. It sees the same files and processes as the test. What still runs at
// the end of the test is killed.
func (h *Host) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, h.net.ip, append([]string{"netns", "exec", h.space(), name}, args...)...) //nolint:gosec // G702: the test says what runs
	cmd.WaitDelay = childDelay
	return cmd
}

// become is the command line by which root runs a program on h as owner, in the process that it began as.
func (h *Host) become(o *owner, argv []string) []string {
	inside := []string{h.net.ip, "netns", "exec", h.space()}
	if o != nil { // the kernel forgets whose death is to end the process when that becomes somebody else
		inside = append(inside, "setpriv", "--reuid", strconv.FormatUint(uint64(o.uid), 10), "--regid", strconv.FormatUint(uint64(o.gid), 10), "--clear-groups", "--pdeathsig", "KILL")
	}
	return append(inside, argv...)
}

// space is the name of h's namespace, for `ip netns exec`.
func (h *Host) space() string { return h.net.name + "-" + h.name }
