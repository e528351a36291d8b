// Package httpbench measures the balancer beside HAProxy and nginx in one run on one machine.
//
// One upstream (nginx) serves small static files. In front of it stand our own binary, HAProxy
// and nginx with equal settings, each one worker pinned to one core; upstream and clients are
// pinned to another. A row is one kind of traffic:
//
//	CPU rows    user + system time of all processes of a proxy / requests that the client completed
//	latency     open loop at half of what the slowest can do, from the time a request was meant to
//	            be sent; what a proxy adds to the upstream asked directly
//	memory      resident memory with many idle, or many very slow clients
//	tcp         one stream of bytes
//
// Invariants:
//
//   - Proxies take turns in short runs, in changing order; a row gives medians, and a comparison is
//     the median of the ratios of runs that stood side by side. Absolute figures of two runs of the
//     program do not compare.
//   - A run in which a client saw an error, or another answer than it asked for, ends the
//     benchmark: cheap failures must not look like speed.
//   - Full TLS handshakes are made by a client of this package: wrk resumes its sessions, and that
//     measures something else.
//   - Everything listens on 127.0.0.1, keeps its files in one temporary directory and is gone when
//     the run ends, however it ends.
//
// Failure rules: a peer that is not installed, a server that does not start and a client that
// fails end the run with an error that names the cure or shows the end of the server's log. A gate
// that is missed is a result, not an error: Report.Missed lists it.
package httpbench
