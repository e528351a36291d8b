// Package logins measures logins through everything that a login goes through, on one machine:
// clients, gtm, lb, brokers, PostgreSQL (fsync on) or the embedded database, and slapd.
//
//	thin clients (a process)  --DNS-->    gtm
//	  127.64.0.0/10           --HTTPS-->  lb --HTTPS--> broker(s) --TCP-->   PostgreSQL, or SQLite
//	                                                              --LDAPS--> slapd
//
//	chain     the highest rate of logins that is held for a minute, on each store, with a new TLS
//	          connection for each login and with kept ones; throughput and latency over the load
//	journeys  sign in, offers, connect, sign out
//	limit     a broker with nothing before it, beside what database and directory do by themselves
//	linear    1, 2, 4, 8, 10 brokers, each held to the same small share of a core
//	steps     the profiles that fit our own system, played through the chain
//	storm     all users within a minute, from a cold start
//	slow      a directory that does 100 binds/s, offered 300
//	soak      ten minutes, with checkpoints and autovacuum in it
//
// A Site lends servers, chains and clients to other benchmarks, which do something to them meanwhile.
//
// With a Profile the clients are those of another product, and nothing is started but them.
//
// Invariants:
//
//   - An open loop: a login begins when it is due, whatever became of those before it, and its time
//     counts from then. So a server that stalls is seen in all logins that were due meanwhile.
//   - A rate counts only when every login of its run was answered with offers. What fails, is
//     refused or has to wait is counted by its kind and shown.
//   - Everybody is a process of his own, with the defaults that a user would have; who used how much
//     CPU is read from the kernel, and the report names what there was no more of.
//   - Everything listens on one address of 127.48.0.0/12, keeps its files in one temporary directory
//     and is gone when the run ends, however it ends. Clients of a Profile are the one exception:
//     they go where the user says.
//
// Failure rules: a server that is not installed or does not start ends the run with an error that
// names the package or shows the end of its log. So does a login that fails where none may (alone,
// raw); the other parts go on, and have their report. A limit that is missed is a result: Report.Missed
// lists it.
package logins
