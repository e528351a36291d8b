package realserver

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Knot starts Knot DNS for the length of the test.
func Knot(t testing.TB, o DNSOptions) *DNSServer {
	t.Helper()
	return startDNS(t, dnsKind{program: "knotd", user: "knot", stopSig: syscall.SIGTERM, configure: configureKnot}, o)
}

func configureKnot(root, host string, port int, zones []dnsZone) ([]string, error) {
	for _, dir := range []string{"run", "db"} {
		if err := makeFolder(filepath.Join(root, dir)); err != nil {
			return nil, err
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, `server:
    rundir: %[1]q
    listen: %[2]s@%[3]d
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: warning
database:
    storage: %[4]q
template:
  - id: default
    zonefile-load: whole
    journal-content: none
    semantic-checks: soft
    zonefile-sync: -1
zone:
`, filepath.Join(root, "run"), host, port, filepath.Join(root, "db"))
	for _, z := range zones {
		fmt.Fprintf(&b, "  - domain: %q\n    file: %q\n", z.origin+".", z.file)
	}
	conf := filepath.Join(root, "knot.conf")
	return []string{"-c", conf}, writeConfig(conf, b.String())
}
