package main

import (
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"switchpoint/directory/demodir"
)

// printMap tells a person where everything is and what to type.
func (s *stage) printMap(w io.Writer) {
	_, _ = fmt.Fprintf(w, "\nTwo data centres are up. Files, keys and logs: %s\n\n", s.dir)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "\tus\tuk")
	for _, row := range []struct {
		name string
		host string
		port int
	}{
		{"DNS (gtm)", "53", portDNS}, {"sign in (lb)", "80", portLB},
		{"broker 1", "11", portBroker}, {"broker 2", "12", portBroker},
	} {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\n", row.name, s.address("127.0.1."+row.host, row.port), s.address("127.0.2."+row.host, row.port))
	}
	_, _ = fmt.Fprintf(t, "directory\t%s\t(the same)\n", s.address("127.0.1.36", portDirectory))
	_ = t.Flush()

	_, _ = fmt.Fprintf(w, "\nSign-in pages (the CA is %s):\n  https://%s\n  https://%s\n",
		s.path("certs", "ca.pem"), s.address("127.0.1.80", portLB), s.address("127.0.2.80", portLB))

	_, _ = fmt.Fprintf(w, "\nUsers to try:\n")
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, u := range demodir.Users() {
		_, _ = fmt.Fprintf(t, "  %s\tpassword %s\t%s\n", u.Name, u.Password, u.DN)
	}
	_ = t.Flush()

	dns, sp := s.address("127.0.2.53", portDNS), os.Args[0]
	_, _ = fmt.Fprintf(w, `
Commands to type:
  dig @127.0.2.53 -p %d -b %s cb.company.com A
  dig @127.0.1.53 -p %d _connection_broker._tcp.company.com SRV +tcp
  %s=%s %s login --url %s --dns %s --source %s --ca %s --user alice
  %s explain --node %s --client %s --name cb.company.com
  %s explain --node %s --user alice
  %s health list --node %s
  curl --cacert %s "https://%s/index.pl?action=is_alive"

Kill a broker and sign in again, or play the whole story with:  %s demo --once
Ctrl-C ends the demo.
`,
		s.ports[portDNS], clientUK,
		s.ports[portDNS],
		passwordEnv, demoPassword("alice"), sp, s.signInURL(), dns, clientUK, s.path("certs", "ca.pem"),
		sp, s.path("state", "uk-gtm"), clientUS,
		sp, s.path("state", "uk-broker-1"),
		sp, s.path("state", "uk-lb"),
		s.path("certs", "ca.pem"), s.address("127.0.2.80", portLB),
		sp)
}

// demoPassword is the password of one of the demo directory's users.
func demoPassword(user string) string {
	for _, u := range demodir.Users() {
		if u.Name == user {
			return u.Password
		}
	}
	return ""
}

func demoServicePassword() string { return demodir.ServicePassword }
