// Package admin is how a person or a monitoring system looks at one process and operates it.
//
// It listens on a Unix socket (mode 0600, in the state directory) where whoever may open the
// socket is the operator, and, if configured, on TCP with TLS where every request carries a
// bearer token. Only /healthz and /readyz are anonymous (SE1).
//
//	/healthz /readyz            is the process alive; does it serve
//	/metrics /debug/pprof/      Prometheus text; Go profiles
//	/admin/v1/...               status, health, explain, apply, reload: JSON
//
// Invariants: the package decides nothing itself, each answer comes from a func in Options that
// the wiring gives it; a token is compared in constant time and never logged.
//
// Failure rules: a request that cannot be served gets {"error": ...} with a status; a socket
// file left by a dead process is replaced, one that a live process answers on is refused.
package admin
