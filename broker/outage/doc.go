// Package outage lets a broker serve while its database does not: it is the broker.Store that a broker
// of a cluster works with. Calls go to the database; those of the login path are answered from files of
// this broker when the database does not answer within a second, and without asking it first while the
// mode says so (mode has the picture).
//
//	             Normal: the database, bounded to 1 s         HostCache, Leased, Recovering
//	call -----------------------------------------------+------------------------------------> local
//	        |  it answered, yes or no                    |  it did not, or the breaker is open      |
//	        v                                            +-----------------------------------------+
//	     answer                                                                                     v
//	                                                                     cache.db: offers, sessions, log
//	                                                                     node.db: the journal, before
//	                                                                     anybody is answered
//
// Two files. cache.db is a copy of the cluster's database in the schema of the embedded store
// (hostcache): replaceable, and replaced whenever the configuration has changed, but never while it
// serves. node.db is this broker's own and is never replaced: the journal of what it did without the
// database, copies of the sessions that it made before, and what it has to remember over a restart.
//
// When the database has been back for long enough, the journal is merged in its order, in batches;
// logins go on from the files meanwhile. The last batch is merged while local calls wait for it, so that
// nothing is done in the files after the mode is normal again. Merging is idempotent: a batch whose
// COMMIT got no answer is merged again.
//
// Invariants: whatever a user was told is in the database or in the journal; an act leaves the journal
// only after the database has it; a pooled desktop is given in an outage only to whom it is claimed by
// already, so that no two brokers give it to two users. Sessions keep their id over the way from the
// database to the files and back. A session that has ended is not brought back by a copy of it: one that
// the host cache does not have, though it was made before the host cache was copied, has ended; and what
// ended here is remembered here.
//
// Failure rules: no usable cache: the error of the database stays what it is. A journal that cannot be
// written refuses the call: nobody is told what would be lost. An act that the database refuses for
// good is set aside in node.db and reported, and the others are merged.
package outage
