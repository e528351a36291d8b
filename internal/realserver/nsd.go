package realserver

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// NSD starts NLnet Labs' name server daemon for the length of the test.
func NSD(t testing.TB, o DNSOptions) *DNSServer {
	t.Helper()
	return startDNS(t, dnsKind{program: "nsd", user: "nsd", stopSig: syscall.SIGTERM, configure: configureNSD}, o)
}

func configureNSD(root, host string, port int, zones []dnsZone) ([]string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, `server:
    server-count: 1
    ip-address: %s@%d
    username: ""
    chroot: ""
    database: ""
    zonesdir: %q
    pidfile: %q
    xfrdfile: %q
    xfrdir: %q
    zonelistfile: %q
    rrl-ratelimit: 0
    verbosity: 0
    minimal-responses: no
remote-control:
    control-enable: no
`, host, port, filepath.Join(root, "zones"), filepath.Join(root, "nsd.pid"),
		filepath.Join(root, "xfrd.state"), root, filepath.Join(root, "zone.list"))
	for _, z := range zones {
		fmt.Fprintf(&b, "zone:\n    name: %q\n    zonefile: %q\n", z.origin, z.file)
	}
	conf := filepath.Join(root, "nsd.conf")
	return []string{"-d", "-c", conf}, writeConfig(conf, b.String())
}
