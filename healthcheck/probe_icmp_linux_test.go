package healthcheck

import (
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// pingOf is what a ping over a raw socket would have asked.
func pingOf(ip string) *ping {
	return &ping{ip: netip.MustParseAddr(ip), id: 7, seq: 9, data: [echoToken]byte{1, 2, 3}}
}

func echo(t *testing.T, kind icmp.Type, id, seq int, data []byte) []byte {
	t.Helper()
	b, err := (&icmp.Message{Type: kind, Body: &icmp.Echo{ID: id, Seq: seq, Data: data}}).Marshal(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Only the echo of our own request, from the address that was asked, is an answer.
func TestPingAnswers(t *testing.T) {
	p, p6 := pingOf("192.0.2.7"), pingOf("2001:db8::7")
	from, from6 := &net.IPAddr{IP: net.IPv4(192, 0, 2, 7)}, &net.UDPAddr{IP: net.ParseIP("2001:db8::7")}
	data := slices.Clone(p.data[:])
	other := append([]byte{9}, data[1:]...)
	f := func(what string, p *ping, b []byte, from net.Addr, want bool) {
		t.Helper()
		if p.answers(b, from) != want {
			t.Errorf("%s: want %v", what, want)
		}
	}
	good := echo(t, ipv4.ICMPTypeEchoReply, 7, 9, data)
	f("our echo", p, good, from, true)
	f("our echo over IPv6", p6, echo(t, ipv6.ICMPTypeEchoReply, 7, 9, data), from6, true)
	f("another address", p, good, &net.IPAddr{IP: net.IPv4(192, 0, 2, 8)}, false)
	f("another id", p, echo(t, ipv4.ICMPTypeEchoReply, 8, 9, data), from, false)
	f("another sequence number", p, echo(t, ipv4.ICMPTypeEchoReply, 7, 8, data), from, false)
	f("other data", p, echo(t, ipv4.ICMPTypeEchoReply, 7, 9, other), from, false)
	f("no data", p, echo(t, ipv4.ICMPTypeEchoReply, 7, 9, nil), from, false)
	f("a request", p, echo(t, ipv4.ICMPTypeEcho, 7, 9, data), from, false)
	f("too short", p, good[:3], from, false)
	f("nothing", p, nil, from, false)
	f("a strange source", p, good, &net.TCPAddr{}, false)
	p.id = 0 // the kernel chose it, and delivers nothing else
	f("an id of the kernel's choice", p, echo(t, ipv4.ICMPTypeEchoReply, 4711, 9, data), from, true)
}

func FuzzPingAnswers(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 7, 0, 9, 1, 2, 3})
	f.Add([]byte{129, 0, 0, 0, 0, 7, 0, 9})
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, p := range []*ping{pingOf("192.0.2.7"), pingOf("2001:db8::7")} {
			if p.answers(b, &net.IPAddr{IP: p.ip.AsSlice()}) && len(b) < 8+echoToken {
				t.Fatalf("%q counts as an echo", b)
			}
		}
	})
}

// inNamespace names the part of TestICMP that runs in a network of its own.
const inNamespace = "SWITCHPOINT_TEST_ICMP"

// The kernel decides who may ping. Each way is tried in a network namespace made for it, by this
// test program started anew: an unprivileged socket where the sysctl allows it, a raw one where
// it does not, and a process that may do neither.
func TestICMP(t *testing.T) {
	if part := os.Getenv(inNamespace); part != "" {
		icmpInNamespace(t, part)
		return
	}
	for _, part := range []string{"datagram", "raw", "forbidden"} {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestICMP$", "-test.count=1")
		cmd.Env = append(os.Environ(), inNamespace+"="+part, "SWITCHPOINT_COVERS=")
		cmd.SysProcAttr = namespaceFor(part)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", part, err, out)
		}
	}
}

// namespaceFor gives a process a network of its own, as its root or as a user without rights.
func namespaceFor(part string) *syscall.SysProcAttr {
	const nobody = 65534
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Geteuid() == 0 {
		if part == "forbidden" {
			attr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		}
		return attr
	}
	inside := 0
	if part == "forbidden" {
		inside = nobody
	}
	attr.Cloneflags |= syscall.CLONE_NEWUSER
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: inside, HostID: os.Getuid(), Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: inside, HostID: os.Getgid(), Size: 1}}
	return attr
}

func icmpInNamespace(t *testing.T, part string) {
	f := func(address string, state State, reason string) {
		t.Helper()
		m := quick("icmp")
		if strings.HasPrefix(reason, "timed out") {
			m.Timeout = 200 * time.Millisecond
		}
		r := Probe(t.Context(), m, address, Settings{})
		if r.State != state || r.Reason != reason || r.TimedOut != (m.Timeout < time.Second) || (r.TTFB > 0) != (state == Up) {
			t.Errorf("%s: got %s (%s), want %s (%s): %+v", address, r.State, r.Reason, state, reason, r)
		}
	}
	if part == "forbidden" {
		f("127.0.0.1:80", Down, "this process may not send ICMP: put its group into the sysctl net.ipv4.ping_group_range, or give it CAP_NET_RAW")
		return
	}
	loopbackUp(t)
	groups := "1 0" // none
	if part == "datagram" {
		groups = "0 0"
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte(groups), 0); err != nil {
		t.Fatal(err)
	}
	p, err := openPing(netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	_ = p.conn.Close()
	if raw := p.id != 0; raw != (part == "raw") {
		t.Errorf("%s: raw socket = %v", part, raw)
	}
	f("127.0.0.1:80", Up, "echo")
	f("[::1]:80", Up, "echo")
	f("192.0.2.7:80", Down, "network unreachable")
	// The kernel of this namespace shall not answer: that is a target that is silent.
	if err := os.WriteFile("/proc/sys/net/ipv4/icmp_echo_ignore_all", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	f("127.0.0.1:80", Down, "timed out waiting for the echo")
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if r := Probe(ctx, quick("icmp"), "127.0.0.1:80", Settings{}); r.Reason != "the probe was cancelled waiting for the echo" {
		t.Errorf("%+v", r)
	}
}

// loopbackUp brings up the interface lo, which is down in a new namespace.
func loopbackUp(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	req.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req); err != nil {
		t.Fatal(err)
	}
}
