package realserver

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// HAProxyOptions describes a HAProxy server.
type HAProxyOptions struct {
	// Body is the answer to every request while there are no Backends; default "CB_IS_OKAY".
	Body string
	// Backends take the requests in turn; each is checked every 100 ms.
	Backends []HAProxyBackend
	// Bind is put behind both addresses, such as "accept-proxy".
	Bind string
	// Frontend is put into the frontend, before the answer to all that it says nothing of.
	Frontend string

	ports func() (int, error) // for tests; nil = freePort
}

// HAProxyBackend is a server behind HAProxy.
type HAProxyBackend struct {
	Addr string // ip:port
	// Agent is ip:port of an agent that is asked for the backend's state every 100 ms.
	Agent string
	// Server is put behind the address, such as "send-proxy-v2".
	Server string
}

// HAProxyServer is a running HAProxy that answers HTTP itself or proxies it.
type HAProxyServer struct {
	Addr    string // 127.0.0.1:PORT, HTTP
	TLSAddr string // 127.0.0.1:PORT, HTTPS
	CAFile  string // PEM, of the HTTPS certificate

	server
	socket string
	cert   string // certificate and key in one file, as HAProxy wants them
	config string
}

// HAProxy starts a HAProxy for the length of the test.
func HAProxy(t testing.TB, o HAProxyOptions) *HAProxyServer {
	t.Helper()
	if o.Body == "" {
		o.Body = "CB_IS_OKAY"
	}
	if o.ports == nil {
		o.ports = freePort
	}
	program := findProgram(t, "haproxy", "/usr/sbin", "/usr/local/sbin")
	own, err := serverOwner("haproxy")
	if err != nil {
		t.Fatal(err)
	}
	root := newRoot(t, "haproxy")
	s := &HAProxyServer{
		socket: filepath.Join(root, "stats.sock"),
		cert:   filepath.Join(root, "server.both"),
		config: filepath.Join(root, "haproxy.cfg"),
	}
	s.answers = s.ready
	s.proc = process{
		t: t, name: "haproxy", owner: own, stopSig: syscall.SIGTERM,
		logFile: filepath.Join(root, "haproxy.log"),
		argv:    []string{program, "-db", "-f", s.config}, // -db: one process in the foreground
	}
	ca := newCA(t, root)
	s.CAFile = ca.CertFile
	certFile, keyFile := ca.Issue("server")
	if err := joinFiles(s.cert, certFile, keyFile); err != nil {
		t.Fatalf("prepare haproxy: %v", err)
	}
	t.Cleanup(s.proc.kill)
	s.firstStart(func() (err error) {
		if s.Addr, s.TLSAddr, err = takeAddresses(o.ports); err != nil {
			return err
		}
		text, err := s.text(o)
		if err != nil {
			return err
		}
		return s.writeAll(root, s.config, text)
	})
	return s
}

func joinFiles(to string, from ...string) error {
	var all []byte
	for _, name := range from {
		b, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("join files: %w", err)
		}
		all = append(all, b...)
	}
	return os.WriteFile(to, all, 0o600)
}

// text is the configuration file.
func (s *HAProxyServer) text(o HAProxyOptions) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "global\n stats socket %s mode 600 level admin\n maxconn 200\n", s.socket)
	b.WriteString("defaults\n mode http\n timeout connect 2s\n timeout client 30s\n timeout server 30s\n")
	fmt.Fprintf(&b, "frontend main\n bind %s %s\n bind %s ssl crt %s %s\n%s", s.Addr, o.Bind, s.TLSAddr, s.cert, o.Bind, lineOf(o.Frontend))
	if len(o.Backends) == 0 {
		if strings.ContainsAny(o.Body, "\"\\\r\n\x00") {
			return "", fmt.Errorf("the body %q cannot stand in haproxy.cfg", o.Body)
		}
		fmt.Fprintf(&b, " http-request return status 200 content-type text/plain string \"%s\"\n", o.Body)
		return b.String(), nil
	}
	b.WriteString(" default_backend members\nbackend members\n option httpchk GET /index.pl?action=is_alive\n")
	for i, m := range o.Backends {
		fmt.Fprintf(&b, " server s%d %s check inter 100ms fall 2 rise 1", i, m.Addr)
		if m.Agent != "" {
			host, port, err := net.SplitHostPort(m.Agent)
			if err != nil {
				return "", fmt.Errorf("address of the agent: %w", err)
			}
			fmt.Fprintf(&b, " weight 100 agent-check agent-inter 100ms agent-addr %s agent-port %s", host, port)
		}
		fmt.Fprintf(&b, " %s\n", m.Server)
	}
	return b.String(), nil
}

// lineOf is a part of the configuration as a line of its own.
func lineOf(text string) string {
	if text == "" {
		return ""
	}
	return " " + text + "\n"
}

// ready asks for the process id on the socket in our own folder: HAProxy binds all its ports
// before it answers there.
func (s *HAProxyServer) ready(ctx context.Context) error {
	info, err := s.command(ctx, "show info")
	if err != nil {
		return err
	}
	if !strings.Contains(info, "\nPid: "+strconv.Itoa(s.proc.pid)+"\n") {
		return fmt.Errorf("the stats socket is not that of process %d", s.proc.pid)
	}
	return nil
}

// BackendState gives the state of the n-th backend as HAProxy judges it: its status ("UP",
// "DOWN", "DRAIN", "MAINT", ...), its weight, and what its agent's check ended with.
func (s *HAProxyServer) BackendState(n int) (status string, weight int, agent string) {
	s.proc.t.Helper()
	out, err := s.command(context.Background(), "show stat")
	if err != nil {
		s.proc.fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(strings.TrimSpace(strings.TrimPrefix(out, "# ")))).ReadAll()
	if err != nil || len(rows) == 0 {
		s.proc.fatal(fmt.Errorf("read the statistics of haproxy: %w", err))
	}
	column := make(map[string]int)
	for i, name := range rows[0] {
		column[name] = i
	}
	for _, row := range rows[1:] {
		if row[column["svname"]] != "s"+strconv.Itoa(n) {
			continue
		}
		weight, err := strconv.Atoi(row[column["weight"]])
		if err != nil {
			s.proc.fatal(fmt.Errorf("weight of a backend of haproxy: %w", err))
		}
		return row[column["status"]], weight, row[column["agent_status"]]
	}
	s.proc.fatal(fmt.Errorf("haproxy has no backend %d", n))
	return "", 0, ""
}

// command says one line on the stats socket and gives the answer.
func (s *HAProxyServer) command(ctx context.Context, line string) (string, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", s.socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(conn, line+"\n"); err != nil {
		return "", fmt.Errorf("ask haproxy: %w", err)
	}
	out, err := io.ReadAll(conn)
	if err != nil {
		return "", fmt.Errorf("read haproxy's answer: %w", err)
	}
	return string(out), nil
}
