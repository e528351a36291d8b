// Package outagebench measures what a database that goes away costs those who sign in, on one machine:
// thin clients, gtm, lb, one broker, PostgreSQL (fsync on) and slapd, each a process of its own (package
// logins starts them).
//
//	clients --> gtm, lb --> broker ---------------------> PostgreSQL    killed, stopped, or behind a
//	                          |  \                                      relay that falls silent
//	                          |   +--> cache-N.db, node.db
//	                          +------> slapd
//
//	logins   the highest rate that is held with the database, and without it from the host cache and
//	         from leases; then how long it takes to merge what was done meanwhile
//	switch   users sign in at a fixed rate while the database vanishes, in each of three ways: when the
//	         mode changes, when is_alive says so, what became of every login
//	sync     a process copies a large cluster into a host cache: time, memory, size of the file; and
//	         what a look costs that finds nothing changed
//
// Invariants:
//
//   - A login is due at its time, whatever became of those before it (an open loop), and every one is
//     counted: answered, refused, failed, how late.
//   - When a mode changed is what the broker was seen to say, on its admin socket and on its is_alive
//     page, each asked again as soon as it has answered. The time of the vanishing is taken before the
//     signal is sent, so nothing is flattered.
//   - A database with less to do is no merit: rates with and without it come from one chain, one after
//     the other, with the same clients.
//
// Failure rules: what does not start, and a mode that does not come within its time, end the part with
// an error; the other parts go on. A limit that is missed is a result: Report.Missed lists it.
package outagebench
