package realserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// DNSOptions describes an authoritative DNS server.
type DNSOptions struct {
	// Zones holds the text of a master file (RFC 1035) by the origin of its
	// zone. A zone that the server refuses fails the test.
	Zones map[string]string

	ports func() (int, error) // for tests; nil = freePort
}

// DNSServer is a running authoritative DNS server on UDP and TCP, with one
// worker, without recursion, transfers, rate limits and DNSSEC.
type DNSServer struct {
	Name string // of the program: knotd, nsd, gdnsd, pdns_server, named
	Addr string // 127.0.0.1:PORT

	server
	probe string // origin of a zone that only this server has
	zones []string
}

// dnsKind is what tells one DNS server program from another.
type dnsKind struct {
	program string
	user    string // runs it when the test runs as root
	stopSig syscall.Signal
	// configure writes the server's files into root, where the zones lie
	// already, and returns its command line after the program.
	configure func(root, host string, port int, zones []dnsZone) ([]string, error)
}

// dnsZone is a zone on disk.
type dnsZone struct {
	origin string // without the final dot
	file   string // absolute path
}

// startDNS starts a server of a kind for the length of the test.
func startDNS(t testing.TB, kind dnsKind, o DNSOptions) *DNSServer {
	t.Helper()
	if o.ports == nil {
		o.ports = freePort
	}
	program := findProgram(t, kind.program, "/usr/sbin", "/usr/local/sbin")
	own, err := serverOwner(kind.user)
	if err != nil {
		t.Fatal(err)
	}
	root := newRoot(t, kind.program)
	s := &DNSServer{Name: kind.program, probe: "probe-" + strings.ToLower(rand.Text()) + ".test"}
	s.answers = s.ready
	s.proc = process{
		t: t, name: kind.program, owner: own, stopSig: kind.stopSig,
		logFile: filepath.Join(root, kind.program+".log"),
	}
	zones, err := s.writeZones(root, o.Zones)
	if err != nil {
		t.Fatalf("prepare %s: %v", kind.program, err)
	}
	t.Cleanup(s.proc.kill)
	s.firstStart(func() error {
		port, err := o.ports()
		if err != nil {
			return err
		}
		s.Addr = local(port)
		args, err := kind.configure(root, "127.0.0.1", port, zones)
		s.proc.argv = append([]string{program}, args...)
		return errors.Join(err, own.own(root))
	})
	return s
}

// writeZones puts every zone, and the probe's, into a file named by its origin.
func (s *DNSServer) writeZones(root string, zones map[string]string) ([]dnsZone, error) {
	dir := filepath.Join(root, "zones")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of the zones: %w", err)
	}
	all := maps.Clone(zones)
	if all == nil {
		all = map[string]string{}
	}
	all[s.probe] = "$TTL 60\n@ SOA ns." + s.probe + ". h." + s.probe + ". 1 3600 600 604800 60\n" +
		"@ NS ns." + s.probe + ".\nns." + s.probe + ". A 127.0.0.1\n"
	var out []dnsZone
	for _, origin := range slices.Sorted(maps.Keys(all)) {
		z := dnsZone{origin: strings.TrimSuffix(origin, ".")}
		if z.origin == "" || strings.ContainsAny(z.origin, "/\\\"") {
			return nil, fmt.Errorf("the origin %q makes no file name", origin)
		}
		z.file = filepath.Join(dir, z.origin)
		if err := os.WriteFile(z.file, []byte(all[origin]), 0o644); err != nil { //nolint:gosec // as above
			return nil, fmt.Errorf("write zone: %w", err)
		}
		s.zones = append(s.zones, z.origin+".")
		out = append(out, z)
	}
	return out, nil
}

// Log returns the end of what the server said.
func (s *DNSServer) Log() string { return string(s.proc.tail()) }

// ready asks for the SOA record of every zone, over UDP and TCP. One of the
// zones has a name that no other server knows.
func (s *DNSServer) ready(ctx context.Context) error {
	if s.proc.portTaken() { // named goes on without the port
		s.proc.kill()
		return errors.New("the port is taken")
	}
	for _, network := range []string{"udp", "tcp"} {
		c := dns.Client{Net: network, Timeout: time.Second, Dialer: &net.Dialer{Timeout: time.Second}}
		for _, origin := range s.zones {
			m, _, err := c.ExchangeContext(ctx, new(dns.Msg).SetQuestion(origin, dns.TypeSOA), s.Addr)
			if err != nil {
				return fmt.Errorf("ask over %s: %w", network, err)
			}
			if !m.Authoritative || len(m.Answer) != 1 {
				return fmt.Errorf("the zone %s is not served: %s", origin, dns.RcodeToString[m.Rcode])
			}
		}
	}
	return nil
}

// writeConfig writes a configuration file.
func writeConfig(path, text string) error {
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil { //nolint:gosec // no secret is in it, and the server reads it as its own user
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}

// makeFolder makes a folder that may be there from an earlier attempt.
func makeFolder(path string) error {
	if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make folder: %w", err)
	}
	return nil
}
