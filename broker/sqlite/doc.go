// Package sqlite is the broker's embedded store: one file, shared by the broker processes of one
// host. It implements broker.Store; broker/storetest is its contract.
//
// Invariants: WAL with synchronous=FULL, so that what a method has returned is on the disk; every
// write is one BEGIN IMMEDIATE transaction on the one writer connection of the process, and
// SQLite's own file lock orders the writers of several processes, with a second lock file that gives
// each of them its turn; readers never wait for them.
// Nothing is remembered between two calls: the truth is in the file. The file, its -wal and its
// -shm have mode 0600.
//
// Migrations are embedded, append-only and run at Open; a lock file beside the database keeps
// processes that start together from running them at once.
//
// Failure rules: a locked, full, read-only or damaged file, and a context that ends,
// are broker.ErrUnavailable; the transaction is rolled back and may be retried. A migration that
// fails leaves the version before it. A process that is stopped (SIGSTOP) in the middle of a write
// holds SQLite's lock, so all others are without the database until it goes on or is killed: what a
// broker must survive there takes the PostgreSQL store.
package sqlite
