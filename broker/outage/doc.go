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
//	                                                          cache.db or leases.db: offers, sessions, log
//	                                                                     node.db: the journal, before
//	                                                                     anybody is answered
//
// Files. cache.db is a copy of the cluster's database in the schema of the embedded store (hostcache):
// replaceable, and replaced whenever the configuration has changed, but never while it serves. node.db is
// this broker's own and is never replaced: the journal of what it did without the database, copies of the
// sessions that it made before, copies of leases, and what it has to remember over a restart. leases.db takes
// the place of cache.db in mode leased: it is made anew each time that it is opened, and removed afterwards.
//
// Leases: what users have connected to within the last two weeks (broker.Lease). Every CacheEvery, and when an
// operator says so, node.db copies what has changed of them; from the database only, never from peers, so a
// broker that has missed some waits until the database is back (LS3). Once a day, and whenever one of them
// cannot be read, the copy is made anew. With them come the setup, the list of brokers and the blocks of
// sign-ins. They serve where there is no host cache that can be used, or in mode "leases" alone, where none is
// kept. leases.db begins with the cluster, the setup, its pools and the blocks; a user's desktops are added from
// his leases when he comes, or when an operator names them. He is offered what he could see when he last
// connected, and is connected to what he has connected to himself: without a launch lease, or after its end, or
// when somebody else has connected to the desktop as his own since, he is refused with the reason. Not served
// (LS8): pooled desktops, users without a desktop of their own, tickets, agents. A lease made after the newest
// copy is missing.
//
// A host cache that could not take some records serves all the same (its quarantine). A user whose desktop or
// assignment is among those is led there by his launch lease (DC8). That is as far as it goes: a desktop that
// the database has taken from him is not given back by a lease while the host cache serves.
//
// What serves may change in the outage: a host cache whose pages cannot be read any more is given up for an
// older one or for leases, and one that can be used again takes their place. Sessions and journal stand in
// node.db and stay; what operators have said is done in the new file once more, out of the journal (replay); only
// idempotency keys are of one file. The same goes for a file that is opened by a process that starts, and for one
// that has lost its newest writes in a power failure.
//
// Operators' acts: what is said of one user or one desktop counts here at once, is judged once more when it is
// merged, and is told to the brokers that can be reached. Those journal it, too, so that it counts there for as
// long as the outage does; its log row has an id, by which the database takes it once. A desktop whose
// assignment the host cache could not take is given to nobody.
//
// Elected mode: of the brokers that are in the outage, have something to serve from and hear each other over
// the peer channel, one serves, by name or by capacity and then by name; the others refuse at once, and their
// probes say 503. A winner that has not been heard for 1.5 s is succeeded by the next. Two brokers that do not
// hear each other both serve: nobody is locked out by a partition, and the journal is what keeps their acts
// apart. Until the mode has changed, in the first two seconds, each broker helps itself. Who refuses goes on
// answering the one that serves about the sessions that it made itself before.
//
// When the database has been back for long enough, the journal is merged in its order, in batches;
// logins go on from the files meanwhile. The last batch is merged while local calls wait for it, so that
// nothing is done in the files after the mode is normal again. Merging is idempotent: a batch whose
// COMMIT got no answer is merged again.
//
// A connect is an act of its own: merged, it makes its session the one that holds the desktop, so that the
// end of the session from before does not take it away; broker.ClaimFound has the cases. Until all brokers
// have merged, no desktop of an expired session is released, for it may have been in use (unsettled).
//
// A broker that steps aside says so to who asks whether it can be given logins, and goes on serving those that
// come for another 5 s, which is as long as balancers may take to ask. If others have the database, it hands its
// journal over to one of them, which merges it, and forgets what that one has merged (DC7). Whoever comes there
// sooner than his session brings it along: the broker that is asked for it (broker.SessionAnswer) gives the acts
// that the database does not have. A sign-out in an outage is told to all brokers that can be reached, and ends
// the session there.
//
// Invariants: whatever a user was told is in the database or in the journal; an act leaves the journal only after
// the database has it, from this broker or another, or has refused it for good; a pooled desktop is given in an
// outage only to whom it is claimed by already, so that no two brokers give it to two users. Sessions keep
// their id over the way from the database to the files and back. A session that has ended is not brought back by
// a copy of it: one that the host cache does not have, though it was made before the host cache was copied and is
// not in the journal, has ended; and what ended here is remembered here. Where no host cache is kept, each
// synchronisation of the leases forgets the copies of sessions that the database has no more.
//
// Failure rules: neither a usable cache nor leases: the error of the database stays what it is. A journal that
// cannot be written refuses the call: nobody is told what would be lost. An act that the database refuses for
// good is set aside in node.db and reported, and the others are merged. A lease that cannot be read is left
// out, counted and reported; the others serve.
//
// Locks, in their order: gate, then opening, or turn, or oldest, then mu. Whoever holds gate for writing waits for
// nothing that has no bound: the login path waits for him.
package outage
