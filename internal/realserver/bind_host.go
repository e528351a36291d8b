package realserver

import (
	"fmt"
	"strings"
	"testing"
)

// BINDOn starts ISC's named on a host for the length of the test, with a configuration and zones as
// an administrator writes them. It stays root, as Unbound does.
func BINDOn(t testing.TB, o HostDNSOptions) *HostDNS {
	t.Helper()
	args := func(conf string) []string { return []string{"-g", "-n", "1", "-c", conf} }
	return startHostDNS(t, hostDNSKind{program: "named", configure: configureBINDOn, args: args}, o)
}

// configureBINDOn puts the test's options first into the options block.
func configureBINDOn(o HostDNSOptions, root, own string) string {
	return strings.Replace(o.Config, "options {", fmt.Sprintf(`options {
    directory %q;
    pid-file none;
    session-keyfile none;
    lock-file none;
    max-cache-size 2M;
    server-id %q;`, root, own), 1) + "\ncontrols { };\n"
}
