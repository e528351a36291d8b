// Package realserver runs real servers for tests: OpenLDAP, PostgreSQL,
// HAProxy, nginx, Apache, Chromium, the DNS servers BIND, gdnsd, Knot, NSD and PowerDNS
// (dns.go holds what these have in common), and BIND and Unbound as an administrator
// configures them, on hosts of their own (hostdns.go).
//
// StartNetwork (netns.go) makes several hosts with a network between them that can be cut, for what
// runs on more than one machine. PostgreSQL can be told to run on one of them.
//
// One file per kind of server says what it is made of; process.go starts,
// watches and signals any of them, ca.go issues their certificates. A server
// belongs to the test that asked for it: it listens on 127.0.0.1 only, or on a host of the test, lives
// in a directory of its own and is gone, files included, when the test ends.
//
//	         Stop, Kill             Pause
//	stopped <----------- running ----------> paused
//	        ----------->         <----------
//	           Start                Resume
//
// Invariants:
//
//   - A server is ready when it has answered a question and has proved that
//     the answer is its own; nothing waits for a fixed time.
//   - A port that somebody else took means another port, before the first
//     start is reported. Later starts keep the ports of the first.
//   - Started by root, a server runs as its own user: PostgreSQL refuses root.
//   - The kernel kills the server when the test process dies, however it dies.
//   - Signals reach the whole family of processes, also those that left the
//     process group, as PostgreSQL's do.
//
// Failure rules: whatever goes wrong fails the test at once, with the end of
// the server's log. A server that is not installed is a failure that names the
// cure, never a skip. Methods that can fail the test must be called from the
// goroutine that runs it.
package realserver
