package realserver

import (
	"fmt"
	"testing"
)

// Unbound starts NLnet Labs' resolver on a host for the length of the test. It stays root, so that
// the kernel still ends it with the test: who changes user has left that arrangement.
func Unbound(t testing.TB, o HostDNSOptions) *HostDNS {
	t.Helper()
	args := func(conf string) []string { return []string{"-d", "-c", conf} }
	return startHostDNS(t, hostDNSKind{program: "unbound", configure: configureUnbound, args: args}, o)
}

// configureUnbound adds a second server clause; what stands in both is a list, or the later counts.
func configureUnbound(o HostDNSOptions, root, own string) string {
	return o.Config + fmt.Sprintf(`
server:
    directory: %q
    username: ""
    chroot: ""
    pidfile: ""
    use-syslog: no
    do-daemonize: no
    identity: %q
    access-control: %s allow
`, root, own, o.Addr)
}
