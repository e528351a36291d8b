package realserver

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// PowerDNS starts the PowerDNS authoritative server with the bind backend for
// the length of the test, its caches off.
func PowerDNS(t testing.TB, o DNSOptions) *DNSServer {
	t.Helper()
	return startDNS(t, dnsKind{program: "pdns_server", user: "pdns", stopSig: syscall.SIGTERM, configure: configurePowerDNS}, o)
}

func configurePowerDNS(root, host string, port int, zones []dnsZone) ([]string, error) {
	var b strings.Builder
	for _, z := range zones {
		fmt.Fprintf(&b, "zone %q { type native; file %q; };\n", z.origin, z.file)
	}
	named := filepath.Join(root, "named.conf")
	if err := writeConfig(named, b.String()); err != nil {
		return nil, err
	}
	conf := fmt.Sprintf(`launch=bind
bind-config=%s
local-address=%s
local-port=%d
socket-dir=%s
guardian=no
daemon=no
disable-syslog=yes
disable-axfr=yes
dname-processing=yes
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
receiver-threads=1
distributor-threads=1
max-tcp-connections=20
security-poll-suffix=
`, named, host, port, root)
	return []string{"--config-dir=" + root}, writeConfig(filepath.Join(root, "pdns.conf"), conf)
}
