package realserver

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// spaces is where `ip netns` keeps the names of namespaces.
const spaces = "/run/netns"

// What a network makes bears the process id of its test, so that what a dead one left is found.
var madeBy = regexp.MustCompile(`^spnet([0-9]{1,10})n[0-9]{1,2}(?:-[a-z0-9]+)?$`)

// maxNetworks is how many a test process may have at a time.
const maxNetworks = 100

// start makes everything; its end is registered before the first thing is made.
func (n *Network) start(ctx context.Context) error {
	if err := removeStale(ctx, n.ip); err != nil {
		return fmt.Errorf("remove what a dead test left: %w", err)
	}
	if err := n.claim(ctx); err != nil {
		return err
	}
	n.t.Cleanup(func() {
		if err := n.remove(context.Background()); err != nil {
			n.t.Errorf("remove a network of hosts: %v", err)
		}
	})
	routes, err := run(ctx, nil, nil, n.ip, "-4", "-oneline", "route", "show")
	if err != nil {
		return err
	}
	var free bool
	if n.subnet, free = freeSubnet(takenBy(routes), os.Getpid()); !free {
		return errors.New("no subnet of 10.128.0.0/9 is free")
	}
	if err := n.wire(ctx); err != nil {
		return err
	}
	return n.rules(ctx, `table bridge switch {
	set cut { type ifname . ifname; }
	set handshakes { type ifname . ifname; }
	set forgotten { type inet_service; }
	chain forward {
		type filter hook forward priority 0
		iifname . oifname @cut drop
		iifname . oifname @handshakes meta l4proto tcp tcp flags & syn == 0 drop
		tcp sport @forgotten drop
		tcp dport @forgotten drop
	}
}`)
}

// claim makes the switch's namespace under a name that no other network of this process has.
func (n *Network) claim(ctx context.Context) error {
	var err error
	for i := range maxNetworks {
		n.name = fmt.Sprintf("spnet%dn%d", os.Getpid(), i)
		if _, err = os.Stat(spaces + "/" + n.name); err == nil {
			continue
		}
		if _, err = run(ctx, nil, nil, n.ip, "netns", "add", n.name); err == nil {
			return nil
		}
	}
	return fmt.Errorf("make a network namespace: %w", err)
}

// wire plugs the hosts and the test into the switch. Everybody knows everybody's hardware address
// from the start: otherwise the cut of a line would after some seconds be told to the sender, as a
// neighbour who does not answer, and it would no longer be silent.
func (n *Network) wire(ctx context.Context) error {
	inside := "link set lo up\nlink add br0 type bridge mcast_snooping 0\nlink set br0 up\n" + plug(0, n.name, strconv.Itoa(os.Getpid()))
	for _, h := range n.hosts {
		if _, err := run(ctx, nil, nil, n.ip, "netns", "add", h.space()); err != nil {
			return err
		}
		inside += plug(h.port, "eth0", h.space())
	}
	if err := n.batch(ctx, inside, "-n", n.name); err != nil {
		return err
	}
	if err := n.batch(ctx, n.addresses(0, n.name)); err != nil {
		return err
	}
	for _, h := range n.hosts {
		if err := h.configure(ctx); err != nil {
			return err
		}
	}
	return nil
}

// plug are the commands that put a cable between a port of the switch and the interface dev of a namespace.
func plug(i int, dev, space string) string {
	return fmt.Sprintf("link add %s type veth peer address %s name %s netns %s\nlink set %s master br0 up\n", port(i), hardware(i), dev, space, port(i))
}

// configure gives the host its address.
func (h *Host) configure(ctx context.Context) error {
	return h.net.batch(ctx, "link set lo up\n"+h.net.addresses(h.port, "eth0"), "-n", h.space())
}

// restart unplugs the host first: what its kernel says of connections that end reaches nobody.
func (h *Host) restart(ctx context.Context) error {
	n := h.net
	if err := n.batch(ctx, "link set "+port(h.port)+" down\n", "-n", n.name); err != nil {
		return err
	}
	if err := removeSpace(ctx, n.ip, h.space()); err != nil {
		return err
	}
	if _, err := run(ctx, nil, nil, n.ip, "netns", "add", h.space()); err != nil {
		return err
	}
	if err := n.batch(ctx, plug(h.port, "eth0", h.space()), "-n", n.name); err != nil {
		return err
	}
	return h.configure(ctx)
}

// addresses are the commands that give the interface dev its address and its neighbours.
func (n *Network) addresses(of int, dev string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "addr add %s/%d dev %s\nlink set %s up\n", n.addr(of), n.subnet.Bits(), dev, dev)
	for i := range len(n.hosts) + 1 {
		if i != of {
			fmt.Fprintf(&b, "neigh replace %s lladdr %s dev %s nud permanent\n", n.addr(i), hardware(i), dev)
		}
	}
	return b.String()
}

// batch lets ip do several commands, one a line.
func (n *Network) batch(ctx context.Context, commands string, before ...string) error {
	argv := append(append([]string{n.ip}, before...), "-batch", "-")
	_, err := run(ctx, nil, []byte(commands), argv...)
	return err
}

// rules gives rules to the packet filter of the switch.
func (n *Network) rules(ctx context.Context, rules string) error {
	_, err := run(ctx, nil, []byte(rules), n.ip, "netns", "exec", n.name, n.nft, "-f", "-")
	return err
}

// remove ends the network and whatever still runs in it.
func (n *Network) remove(ctx context.Context) error {
	var errs []error
	for _, h := range n.hosts {
		errs = append(errs, removeSpace(ctx, n.ip, h.space()))
	}
	return errors.Join(append(errs, removeSpace(ctx, n.ip, n.name))...)
}

// removeStale removes the networks of tests that died before they could.
func removeStale(ctx context.Context, ip string) error {
	entries, err := os.ReadDir(spaces)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		by := madeBy.FindStringSubmatch(e.Name())
		if by == nil {
			continue
		}
		pid, err := strconv.Atoi(by[1])
		if err != nil || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			continue
		}
		if err := removeSpace(ctx, ip, e.Name()); err != nil {
			return err
		}
	}
	return nil
}

// removeSpace ends what runs in a namespace, and removes it with its interfaces: at once, because
// the kernel itself takes its time for that. Nothing happens when there is none.
func removeSpace(ctx context.Context, ip, name string) error {
	gone := func() bool { // also when another test removes it at the same moment
		_, err := os.Stat(spaces + "/" + name)
		return errors.Is(err, os.ErrNotExist)
	}
	if gone() {
		return nil
	}
	if err := killAllIn(ctx, ip, name); err != nil {
		if gone() {
			return nil
		}
		return err
	}
	// The switch's is the only one without eth0; the interface outside goes with its port.
	dev := "eth0"
	if !strings.Contains(name, "-") {
		dev = port(0)
	}
	_, _ = run(ctx, nil, nil, ip, "-n", name, "link", "del", dev) // it may be gone with the other end
	if _, err := run(ctx, nil, nil, ip, "netns", "del", name); err != nil && !gone() {
		return err
	}
	return nil
}

// killAllIn kills what runs in a namespace until nothing does.
func killAllIn(ctx context.Context, ip, name string) error {
	ctx, cancel := context.WithTimeout(ctx, stopDeadline)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		out, err := run(ctx, nil, nil, ip, "netns", "pids", name)
		if err != nil {
			return err
		}
		fields := bytes.Fields(out)
		if len(fields) == 0 {
			return nil
		}
		for _, f := range fields {
			if pid, err := strconv.Atoi(string(f)); err == nil && pid > 1 && pid != os.Getpid() {
				signalAll([]int{pid}, syscall.SIGKILL)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d processes in %s do not end", len(fields), name)
		case <-tick.C:
		}
	}
}

// port is the switch's interface to a host, or to the test.
func port(i int) string { return "port" + strconv.Itoa(i) }

// hardware is an address that nobody else in the network has; the bit 2 says that it is of no maker.
func hardware(i int) string { return fmt.Sprintf("02:00:00:00:00:%02x", i+1) }

// addr is the address of the test (0: .1) or of a host (.11 and up).
func (n *Network) addr(i int) netip.Addr {
	a := n.subnet.Addr().As4()
	a[3] = 1
	if i > 0 {
		a[3] = byte(10 + i)
	}
	return netip.AddrFrom4(a)
}

// takenBy reads the destinations of `ip route`. The default route takes nothing, nor does one to
// all of a company's 10.0.0.0/8: a network inside it is more specific.
func takenBy(routes []byte) (taken []netip.Prefix) {
	lines := bufio.NewScanner(bytes.NewReader(routes))
	for lines.Scan() {
		dest, _, _ := strings.Cut(lines.Text(), " ")
		if p, err := netip.ParsePrefix(dest); err == nil && p.Bits() > 8 {
			taken = append(taken, p)
		} else if a, err := netip.ParseAddr(dest); err == nil { // one host: written without /32
			taken = append(taken, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return taken
}

// freeSubnet is a /24 of 10.128.0.0/9 that overlaps none of the taken ones. Test processes that
// look at the same moment begin at different ones, and go on in strides that do not meet soon.
func freeSubnet(taken []netip.Prefix, seed int) (netip.Prefix, bool) {
	const subnets, stride = 1 << 15, 4099 // the stride is odd: it visits all
	for i := range subnets {
		at := (seed + i*stride) % subnets
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(128 + at>>8), byte(at), 0}), 24)
		if !overlapsAny(p, taken) {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

func overlapsAny(p netip.Prefix, taken []netip.Prefix) bool {
	for _, q := range taken {
		if p.Overlaps(q) {
			return true
		}
	}
	return false
}
