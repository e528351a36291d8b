package realserver

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// sambaNetwork is a network namespace of its own, reached over a pair of veth interfaces. Nothing
// names it but an open file of the test process, so it ends with that process, however that ends,
// and takes both interfaces with it.
type sambaNetwork struct {
	host, inside netip.Addr // the two ends
	name         string     // the host's interface

	enter []string // what goes before a program that is to run inside
}

// sambaNetworks is how many /30 fit into the range of addresses for benchmarks and tests
// (RFC 2544), 198.18.0.0/15. The number of a network is also in the name of its interface, of which
// the kernel allows only one: so two test processes never take the same.
const sambaNetworks = 1 << 15

func newSambaNetwork(t testing.TB) *sambaNetwork {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("a server in a network of its own needs root: run the tests as root")
	}
	ip, nsenter := findProgram(t, "ip", "/usr/sbin", "/sbin"), findProgram(t, "nsenter", "/usr/bin")
	space, err := newNamespace()
	if err != nil {
		t.Fatalf("make a network namespace: %v", err)
	}
	t.Cleanup(func() { _ = space.Close() })
	path := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), space.Fd())
	n := &sambaNetwork{enter: []string{nsenter, "--net=" + path, "--"}}
	ctx := context.Background()
	must := func(argv ...string) {
		t.Helper()
		if _, err := run(ctx, nil, nil, argv...); err != nil {
			t.Fatalf("set up a network: %v", err)
		}
	}
	n.pick(ctx, t, ip, path)
	t.Cleanup(func() {
		if _, err := run(ctx, nil, nil, ip, "link", "del", n.name); err != nil {
			t.Errorf("remove the network's interface: %v", err)
		}
	})
	must(ip, "addr", "add", n.host.String()+"/30", "dev", n.name)
	must(ip, "link", "set", n.name, "up")
	for _, args := range []string{"link set lo up", "addr add " + n.inside.String() + "/30 dev eth0", "link set eth0 up"} {
		must(slices.Concat(n.enter, []string{ip}, strings.Fields(args))...)
	}
	return n
}

// pick makes the pair of interfaces under a number that nobody has.
func (n *sambaNetwork) pick(ctx context.Context, t testing.TB, ip, path string) {
	t.Helper()
	var err error
	for range startAttempts {
		number := rand.IntN(sambaNetworks)
		n.name = fmt.Sprintf("swsamba%d", number)
		_, err = run(ctx, nil, nil, ip, "link", "add", n.name, "type", "veth", "peer", "name", "eth0", "netns", path)
		if err == nil {
			at := 198<<24 | 18<<16 | uint32(number)<<2
			n.host, n.inside = addrOf(at+1), addrOf(at+2)
			return
		}
	}
	t.Fatalf("make a pair of interfaces: %v", err)
}

func addrOf(v uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}

// newNamespace makes a network namespace and returns the file that keeps it.
func newNamespace() (*os.File, error) {
	type result struct {
		file *os.File
		err  error
	}
	made := make(chan result)
	go func() {
		// Not unlocked: the thread that changed its network ends with this goroutine.
		runtime.LockOSThread()
		if syscall.Gettid() == os.Getpid() {
			// The main thread never ends, and by its network the whole process is known. While it is
			// held here, the next try runs on another one.
			defer runtime.UnlockOSThread()
			file, err := newNamespace()
			made <- result{file, err}
			return
		}
		if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
			made <- result{err: err}
			return
		}
		file, err := os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", syscall.Gettid()))
		made <- result{file, err}
	}()
	r := <-made
	return r.file, r.err
}
