package realserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hostEnv asks this test binary to be a program on a host: "serve PORT" echoes lines, "ask ADDRESS
// TIME" tries for so long to have one line echoed and prints "ok" or what went wrong, "chat ADDRESS"
// sends a line for each one that it reads, on one connection, and prints what comes back.
const hostEnv = "REALSERVER_TEST_HOST"

const (
	echoPort = "7007"
	patience = 20 * time.Second // with a peer that is to answer, on a busy machine
	silence  = time.Second      // of one that is not
	// longSilence is longer than the kernel looks for the hardware address of a neighbour, before
	// it says that there is none.
	longSilence = 5 * time.Second
)

func TestHostProgram(t *testing.T) {
	what, arg, _ := strings.Cut(os.Getenv(hostEnv), " ")
	switch what {
	case "serve":
		l, err := net.Listen("tcp", net.JoinHostPort("", arg))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("ready")
		_ = echo(l)
	case "ask":
		address, limit, _ := strings.Cut(arg, " ")
		wait, err := time.ParseDuration(limit)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(ask(address, wait))
		os.Exit(0)
	case "chat":
		c, err := net.DialTimeout("tcp", arg, patience)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.Copy(c, os.Stdin) }()
		_, _ = io.Copy(os.Stdout, c)
	}
}

func echo(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			_, _ = io.Copy(c, c)
		}()
	}
}

// ask has one line echoed: "ok", "silence" or the error.
func ask(address string, wait time.Duration) string {
	c, err := net.DialTimeout("tcp", address, wait)
	if err == nil {
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(wait))
		if _, err = io.WriteString(c, "hello\n"); err == nil {
			var line string
			if line, err = bufio.NewReader(c).ReadString('\n'); line == "hello\n" {
				return "ok"
			}
		}
	}
	var slow net.Error
	if errors.As(err, &slow) && slow.Timeout() {
		return "silence"
	}
	return err.Error()
}

// program prepares this test binary as a program on h.
func program(h *Host, what string) *exec.Cmd {
	cmd := h.Command(context.Background(), os.Args[0], "-test.run=^TestHostProgram$")
	// A program built with -race waits for a second at its end unless it is told not to.
	cmd.Env = append(os.Environ(), hostEnv+"="+what, "SWITCHPOINT_COVERS=", "GORACE=atexit_sleep_ms=0")
	return cmd
}

func serveEcho(t *testing.T, h *Host) {
	t.Helper()
	cmd := program(h, "serve "+echoPort)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the echo of %s said %q: %v", h.Name(), line, err)
	}
}

func at(a netip.Addr) string { return net.JoinHostPort(a.String(), echoPort) }

// says runs ask on h; want says what comes of it.
func says(t *testing.T, h *Host, to netip.Addr, want string) {
	t.Helper()
	wait := patience
	if want == "silence" {
		wait = silence
	}
	out, err := program(h, "ask "+at(to)+" "+wait.String()).Output()
	if got := strings.TrimSpace(string(out)); got != want {
		t.Errorf("%s asks %s: %q, want %q (%v)", h.Name(), to, got, want, err)
	}
}

func TestNetworkOfHosts(t *testing.T) {
	var name string
	var pid int
	t.Run("while it lasts", func(t *testing.T) {
		n := StartNetwork(t, "a", "b", "c")
		name = n.name
		a, b, c := n.Host("a"), n.Host("b"), n.Host("c")
		serveEcho(t, b)
		l, err := net.Listen("tcp", at(n.Addr()))
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- echo(l) }()
		t.Cleanup(func() { _ = l.Close(); <-served })

		says(t, a, b.Addr(), "ok")
		says(t, a, n.Addr(), "ok")
		if got := ask(at(b.Addr()), patience); got != "ok" {
			t.Errorf("the test asks b: %s", got)
		}
		chat := startChat(t, a, b)
		chat.says(t, "one")

		n.Partition(a, b)
		says(t, a, b.Addr(), "silence")
		says(t, c, b.Addr(), "ok")
		says(t, a, n.Addr(), "ok")
		chat.silent(t, "two")
		n.Heal()
		chat.hears(t, "two") // sent again by the kernel
		says(t, a, b.Addr(), "ok")

		n.Isolate(b)
		says(t, c, b.Addr(), "silence")
		if got := ask(at(b.Addr()), longSilence); got != "silence" {
			t.Errorf("the test asks b, which is alone: %s", got)
		}
		n.Heal()
		says(t, c, b.Addr(), "ok")

		forgotten := c.Command(context.Background(), "sleep", "300")
		if err := forgotten.Start(); err != nil {
			t.Fatal(err)
		}
		pid = forgotten.Process.Pid
		go func() { _ = forgotten.Wait() }()
		eventually(t, "it runs", func() bool { return programOf(pid) == "sleep" })
	})
	wantNothingLeft(t, name)
	eventually(t, "the forgotten program is gone", func() bool { return !alive(pid) })
}

// chat is one connection from a host to the echo of another.
type chat struct {
	in    io.WriteCloser
	lines chan string
}

func startChat(t *testing.T, from, to *Host) chat {
	t.Helper()
	cmd := program(from, "chat "+at(to.Addr()))
	in, errIn := cmd.StdinPipe()
	out, errOut := cmd.StdoutPipe()
	if err := errors.Join(errIn, errOut, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	c := chat{in, make(chan string, 10)}
	go func() {
		defer close(c.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			c.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		for range c.lines { // the reader ends with its pipe
		}
		_ = cmd.Wait()
	})
	return c
}

func (c chat) send(t *testing.T, line string) {
	t.Helper()
	if _, err := io.WriteString(c.in, line+"\n"); err != nil {
		t.Fatal(err)
	}
}

func (c chat) hears(t *testing.T, line string) {
	t.Helper()
	select {
	case got := <-c.lines:
		if got != line {
			t.Errorf("%q came back, want %q", got, line)
		}
	case <-time.After(patience):
		t.Errorf("%q did not come back", line)
	}
}

func (c chat) says(t *testing.T, line string) {
	t.Helper()
	c.send(t, line)
	c.hears(t, line)
}

// silent sends line and wants no answer, and no end of the connection either.
func (c chat) silent(t *testing.T, line string) {
	t.Helper()
	c.send(t, line)
	select {
	case got, open := <-c.lines:
		t.Errorf("%q came through the cut (connection open: %v)", got, open)
	case <-time.After(500 * time.Millisecond):
	}
}

func wantNothingLeft(t *testing.T, name string) {
	t.Helper()
	entries, err := os.ReadDir(spaces)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() == name || strings.HasPrefix(e.Name(), name+"-") {
			t.Errorf("the namespace %s is left", e.Name())
		}
	}
	if _, err := net.InterfaceByName(name); err == nil {
		t.Errorf("the interface %s is left", name)
	}
}

// TestNetworkOfADeadTestIsRemoved runs itself in a process of its own that dies with a network.
func TestNetworkOfADeadTestIsRemoved(t *testing.T) {
	if os.Getenv(orphanEnv) != "" {
		n := StartNetwork(t, "a")
		cmd := n.Host("a").Command(context.Background(), "sleep", "300")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("left=%s %d\n", n.name, cmd.Process.Pid)
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestNetworkOfADeadTestIsRemoved$")
	cmd.Env = append(os.Environ(), orphanEnv+"=kill", "SWITCHPOINT_COVERS=")
	out, err := cmd.Output()
	if err == nil {
		t.Fatal("the test process did not die")
	}
	_, said, _ := strings.Cut(string(out), "left=")
	fields := strings.Fields(said)
	if len(fields) < 2 {
		t.Fatalf("it said %q", out)
	}
	if _, err := os.Stat(spaces + "/" + fields[0]); err != nil {
		t.Fatalf("it did not leave its network: %v", err)
	}
	pid, err := strconv.Atoi(fields[1])
	if err != nil {
		t.Fatal(err)
	}
	StartNetwork(t, "a")
	wantNothingLeft(t, fields[0])
	eventually(t, "its program is gone", func() bool { return !alive(pid) })
}

func TestTwoNetworksAtATime(t *testing.T) {
	first, second := StartNetwork(t, "a"), StartNetwork(t, "a")
	if first.name == second.name || first.subnet.Overlaps(second.subnet) {
		t.Errorf("%s %s, %s %s", first.name, first.subnet, second.name, second.subnet)
	}
}

func TestFreeSubnet(t *testing.T) {
	routes := "default via 172.16.0.1 dev eth0\n10.0.0.0/8 via 172.16.0.2 dev eth0\n" +
		"10.128.7.0/24 dev spnet7n0 proto kernel scope link src 10.128.7.1\n10.128.3.9 via 172.16.0.1 dev eth0\nbroken\n"
	taken := takenBy([]byte(routes))
	if len(taken) != 2 {
		t.Errorf("taken: %v", taken)
	}
	for seed, want := range map[int]string{1: "10.128.1.0/24", 1 << 15: "10.128.0.0/24", 7: "10.144.10.0/24", 3: "10.144.6.0/24", 1<<15 - 1: "10.255.255.0/24"} {
		if got, ok := freeSubnet(taken, seed); got.String() != want || !ok {
			t.Errorf("seed %d: %s %v, want %s", seed, got, ok, want)
		}
	}
	all := []netip.Prefix{netip.MustParsePrefix("10.128.0.0/9")}
	if _, ok := freeSubnet(all, 1); ok {
		t.Error("a subnet is free where all are taken")
	}
	seen := make(map[string]bool)
	for i := range 200 { // each call takes what the ones before it left
		p, ok := freeSubnet(taken, 5)
		if seen[p.String()] || !ok {
			t.Fatalf("the subnet %d is %s again", i, p)
		}
		seen[p.String()], taken = true, append(slices.Clone(taken), p)
	}
}
