package realserver

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
)

// Gdnsd starts gdnsd for the length of the test. It knows fewer types than the
// others (no DNAME, no HTTPS; unknown ones as TYPE123) and refuses a zone with
// glue that is missing or that nothing needs.
func Gdnsd(t testing.TB, o DNSOptions) *DNSServer {
	t.Helper()
	return startDNS(t, dnsKind{program: "gdnsd", user: "gdnsd", stopSig: syscall.SIGTERM, configure: configureGdnsd}, o)
}

// configureGdnsd needs no list of zones: gdnsd serves every file in its folder
// under the name of the file.
func configureGdnsd(root, host string, port int, _ []dnsZone) ([]string, error) {
	for _, dir := range []string{"run", "state"} {
		if err := makeFolder(filepath.Join(root, dir)); err != nil {
			return nil, err
		}
	}
	conf := fmt.Sprintf(`options => {
    listen => [ "%s:%d" ]
    udp_threads => 1
    tcp_threads => 1
    run_dir => %q
    state_dir => %q
}
`, host, port, filepath.Join(root, "run"), filepath.Join(root, "state"))
	return []string{"-c", root, "start"}, writeConfig(filepath.Join(root, "config"), conf)
}
