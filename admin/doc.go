// Package admin is how a person or a monitoring system looks at one process and operates it.
//
// It listens on a Unix socket (mode 0600, in the state directory) where whoever may open the
// socket is the operator, and, if configured, on TCP with TLS where every request carries a
// bearer token, or comes from a browser that has shown it. Only /healthz and /readyz are anonymous
// (SE1), and the form that asks for the token, with its style sheet.
//
//	/healthz /readyz            is the process alive; does it serve
//	/metrics /debug/pprof/      Prometheus text; Go profiles
//	/admin/v1/...               status, health, explain, apply, reload: JSON
//	/console/...                pages for people: Page, ClusterPages, OperationsPage
//
// The console over TCP:
//
//	           token, at most 5 wrong ones a minute from one client
//	stranger ------------------------------------------------------> session
//	   ^                                                                |
//	   +-- sign-out, 30 minutes unused, 8 hours, the process ends ------+
//
// Invariants: the package decides nothing itself, each answer comes from a func in Options or
// Cluster that the wiring gives it; a token is compared in constant time and never logged. Of a
// session only a hash is kept, in memory, and a bounded number of them. Every form carries a token
// that is bound to the browser and its session. Pages have no script and load nothing from elsewhere;
// all text goes through html/template. The console has a door of its own beside that of the rest, so a
// session opens the console and nothing else. What a page changes, it changes through the broker,
// which writes down who did it. On the socket the console answers to localhost only: a browser that
// reaches it through a forwarded port cannot be led there by another site's name.
//
// Failure rules: a request that cannot be served gets {"error": ...} with a status, one to the console
// a page with the reason and the same status; a socket file left by a dead process is replaced, one
// that a live process answers on is refused.
package admin
