// Package clusterbench measures a cluster's database work in one run on one machine: the job queue,
// the login statement beside pgbench, and connects in a large database.
//
//	queue    brokers claim due recurring jobs and end them, which reschedules them; jobs a second,
//	         on PostgreSQL and on the embedded database
//	login    logins a second that the store records, and transactions a second of pgbench with the
//	         same statement, parameters and number of clients
//	connect  an open loop of connects at a fixed rate, each through all of the broker (session, policy,
//	         candidates, claim, log row), in a database with many users, desktops and log rows
//
// Invariants:
//
//   - PostgreSQL runs from a folder of this package with fsync on and is gone when the run ends.
//   - The statement that pgbench runs is the one that the server was sent by the store: it is read
//     from the server's log. Only values that differ from login to login are made by pgbench.
//   - Store and pgbench take turns, in changing order; the comparison is the median of the ratios of
//     runs that stood side by side. Absolute figures of two runs of the program do not compare.
//   - A connect is measured from the time that it was due, so a database that stalls for a while is
//     seen in all connects that were due meanwhile.
//
// Failure rules: a program that is not installed, a server that does not start and a call that fails
// end the run with an error. A limit that is missed is a result: Report.Missed lists it.
package clusterbench
