// Package postgres is the broker's store for a cluster: several brokers share one PostgreSQL, of which
// standbys may take over, directly or through a pooler such as PgBouncer in transaction mode. It
// implements broker.Store; broker/storetest is its contract.
//
// # Transactions
//
// One method is one transaction. Login, Session, Offers, Candidates and Connect are one statement,
// which is its own transaction: one round trip. The others run at READ COMMITTED, where each
// statement sees what is committed by then. What has to be right at any concurrency rests on rows:
//
//   - a desktop's row holds its claim, so it has one holder; a unique index gives a user one desktop
//     per slot. Connect looks for a free one with SKIP LOCKED from a random place of an index that
//     holds free desktops only, and looks again, waiting, before it says that there is none;
//   - Connect holds its session's row against Logout, and Logout looks for claims only after it has it;
//   - the leases of a user are locked in one order by all who write them, and left alone by a connect
//     that has nothing new to say;
//   - an idempotency key is inserted before anything else is changed: whoever comes second waits for
//     the first, changes nothing and reads the outcome;
//   - Join locks the one row of cluster, ReplaceSetup the one row of setup.
//
// There are no locks of sessions, no LISTEN and no NOTIFY. The lock of a migration is one of a
// transaction too.
//
// # Plans
//
// The planner knows how many desktops there are from the moment that they are there: ReplaceSetup and
// EndScan count them in their own transaction. With 100,000 users and 50,000 desktops no hot statement
// reads a table from end to end (a test asks the server for its plans). No pool is counted: offers look
// at no more desktops, and no more free ones, than the user has slots. Free desktops come from
// desktop_free (pool_id, shuffle), a partial index without those in use, in one index scan that ends
// with its first row:
//
//	login    assignment_user -> desktop_pkey; desktop_pool_name -> desktop_pool_protocol,
//	         desktop_free, desktop_claim; insert idempotency, session, log
//	session  session_token
//	own      session_pkey, assignment_user -> desktop_pkey; insert idempotency, log; lease_pkey, and only
//	         when there is news, insert lease
//	connect  session_pkey, desktop_pool_pkey, desktop_claim, desktop_free; update desktop_pkey;
//	         insert idempotency, log
//
// # Connections
//
//	         refused, black hole, read-only,
//	         old copy: the next of the URL
//	          +------------------+
//	          v                  |
//	URL -> sign in -> look at the server -> in the pool <-> in use
//	          ^                                  |             |
//	          +---- 30 min, 25006, 57P01-57P03, 08xxx, silence +
//
// A new connection asks the server four things at once: whether it can be written, its WAL timeline,
// the epoch of the cluster, and its process number. A process number that is not the one of the
// handshake means a pooler: statements then go without names (pgx CacheDescribe), and no setting of
// the session is made. The server plans them anew each time, which costs a login more than its work:
// BenchmarkLogin does about 0.4 times as many through a pooler. Without one, statements are prepared by
// name on each connection (CacheStatement) and planned once. Host names are looked up for each connection anew, and nothing is taken from the
// process's environment.
//
// The look also keeps the process away from an old primary that comes back after a failover, or a
// copy that was restored: (timeline, epoch) never goes back. The timeline rises with each promotion.
// The epoch is a row that rises with each Join and ReplaceSetup; it decides within one timeline, or
// where the server does not tell its timeline. A higher timeline with a lower epoch is a standby that
// had not received the last writes: it is accepted, with a warning in the log. What was seen is
// forgotten with the process: a restart accepts any copy. SetupVersion, asked every second, looks
// again, for a pooler may change servers behind an open connection.
//
// # Failure rules
//
// Every call has a deadline, its context's or Options.QueryTimeout. When it passes, the server is
// asked to cancel, and the call returns at most 0.3 s later; explicit transactions carry their
// deadline with them (SET LOCAL), direct connections have a statement_timeout of 30 s besides. For
// statements through a pooler set one for the role: ALTER ROLE ... SET statement_timeout = '30s'.
//
// What the server has certainly not done is repeated, six times at most, with growing pauses:
// serialization failures, deadlocks, read-only servers, connections that could not be made (53300
// among them). What only reads is repeated after a lost connection too. All else, a COMMIT that got no
// answer above all, is broker.ErrUnavailable, and may have been committed: clients repeat with their
// idempotency key. One such error makes all connections anew. judge is the whole table.
package postgres
