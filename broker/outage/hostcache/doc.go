// Package hostcache keeps this broker's own copy of what serving logins needs, for the time when the
// database is gone: directories, policies, pools, desktops, assignments, the sessions and claims of
// now. Every Options.Every (2 min) it asks the database for the version of all that:
//
//	           same version                        version has moved, no usable file,
//	+--- current: state refreshed <---+            or it has served an outage (503)
//	|                                 |                          |
//	|   +----------+    Every     +-------+                      v
//	+-->|  waits   |------------->| asks  |--------> import-7.db: copied, indexed, checked, closed, synced
//	    +----------+              +-------+                      |                        |
//	      ^  ^   ^                    | no answer                | rename, sync folder    | broken, disk full,
//	      |  |   +--------------------+                          v                        v setup unreadable
//	      |  |                                       cache-7.db counts (504)      removed; cache-6.db
//	      |  +--------------- cache-6.db is kept, cache-5.db removed --+          goes on counting (505)
//	      +----------------------------------------------------------------------------+
//
// The numbers are the event ids of the system that this one learns from; they stand in the log as
// event_id.
//
// Invariants. A name of the form cache-N.db belongs to a file that is whole and on the disk: the rename
// is the moment from which it counts, and no name is used twice, so that the -wal of one file never
// meets another. The highest N counts, and the one before is kept in case the disk has damaged it. At
// any moment, kill -9 and power failure included, one of the two can be opened. A record that cannot be
// used is left out and noted in the table quarantine of the file; it never keeps the others out. While
// the cache serves (Open until Release) it is neither replaced nor refreshed.
//
// Once an hour a rehearsal compares every index of the file with its table and asks file and database the
// same questions: what sample users are offered, and where that leads. A file that is damaged or answers
// differently is made anew.
//
// Failure rules. A database that does not answer costs nothing but the age of the cache; after Options.MaxAge
// the cache is not opened any more. A folder that cannot be written or is full is an error in the log and
// in the metrics, and the file that is there goes on counting. Names, addresses and the cluster's secret
// stand in these files: they have mode 0600.
package hostcache
