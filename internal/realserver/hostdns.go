package realserver

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// HostDNSOptions describes a DNS server on a host of a Network, where it has port 53.
type HostDNSOptions struct {
	Host *Host
	// Addr is an address of the host, on which Config lets the server listen.
	Addr netip.Addr
	// Config is the server's configuration as an administrator writes it: unbound.conf, or a
	// named.conf with an options block. What a test needs is added to it.
	Config string
	// Files lie in the server's folder, by their names: zones for BIND.
	Files map[string]string
}

// HostDNS is a running DNS server on a host of a Network.
type HostDNS struct {
	server
	ask []string // the command that asks it for its identity
	own string   // that identity
}

// hostDNSKind is what tells one program from another.
type hostDNSKind struct {
	program string
	// configure gives the whole configuration of a server whose folder is root and whose identity
	// (id.server in class CH, RFC 4892) is own, and args the command line for it in the file conf.
	configure func(o HostDNSOptions, root, own string) string
	args      func(conf string) []string
}

// startHostDNS starts a server of a kind for the length of the test.
func startHostDNS(t testing.TB, kind hostDNSKind, o HostDNSOptions) *HostDNS {
	t.Helper()
	program, dig := findProgram(t, kind.program, "/usr/sbin"), findProgram(t, "dig")
	root := newRoot(t, kind.program)
	s, conf := &HostDNS{own: rand.Text()}, kind.program+".conf"
	files := map[string]string{conf: kind.configure(o, root, s.own)}
	maps.Copy(files, o.Files)
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatalf("configure %s: %v", kind.program, err)
		}
	}
	inside := []string{o.Host.net.ip, "netns", "exec", o.Host.space()}
	s.ask = slices.Concat(inside, []string{dig, "-r", "+short", "+time=1", "+tries=1", "@" + o.Addr.String(), "id.server", "CH", "TXT"})
	s.answers = s.ready
	s.proc = process{
		t: t, name: kind.program, stopSig: syscall.SIGTERM, logFile: filepath.Join(root, kind.program+".log"),
		argv: slices.Concat(inside, []string{program}, kind.args(filepath.Join(root, conf))),
	}
	t.Cleanup(s.proc.kill)
	s.Start()
	return s
}

// Log returns the end of what the server said.
func (s *HostDNS) Log() string { return string(s.proc.tail()) }

// ready asks the server who it is, from its own host.
func (s *HostDNS) ready(ctx context.Context) error {
	out, err := run(ctx, nil, nil, s.ask...)
	if err != nil {
		return err
	}
	if got := strings.TrimSpace(string(out)); got != `"`+s.own+`"` {
		return fmt.Errorf("somebody answers who is %q", got)
	}
	return nil
}
