package realserver

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// BIND starts ISC's named for the length of the test.
func BIND(t testing.TB, o DNSOptions) *DNSServer {
	t.Helper()
	return startDNS(t, dnsKind{program: "named", user: "bind", stopSig: syscall.SIGTERM, configure: configureBIND}, o)
}

func configureBIND(root, host string, port int, zones []dnsZone) ([]string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, `options {
    directory %q;
    listen-on port %d { %s; };
    listen-on-v6 { none; };
    pid-file none;
    session-keyfile none;
    lock-file none;
    recursion no;
    notify no;
    allow-transfer { none; };
    dnssec-validation no;
    check-names primary ignore;
    check-integrity no;
    max-cache-size 2M;
};
controls { };
`, root, port, host)
	for _, z := range zones {
		fmt.Fprintf(&b, "zone %q { type primary; file %q; };\n", z.origin, z.file)
	}
	conf := filepath.Join(root, "named.conf")
	return []string{"-g", "-n", "1", "-c", conf}, writeConfig(conf, b.String())
}
