// Package mode decides in which mode a broker serves: from the database, from its host cache, from
// leases, or not at all. It is pure: no sockets, no clock. What is known of the database, of the
// files at hand and of the other brokers goes in as Facts, and every State that comes out has its
// reason.
//
//	            lost, and no peer that still has it          lost, a peer still has it
//	          +-------------------------------- normal --------------------------------+
//	          |                                 ^    ^                                 |
//	          v                                 |    |  the database answers           v
//	hostcache | leased                          |    +------------------------------ draining
//	 |   ^    |  the database has answered for  |                                      |
//	 |   |    |  30 s, no hold-down             | all is merged                        |
//	 |   |    +-------------------------> recovering                                   |
//	 |   |          lost again                  |                                      |
//	 |   +--------------------------------------+                                      |
//	 |   ^                    no peer has the database any more                        |
//	 |   +-----------------------------------------------------------------------------+
//	 +--> each other: hostcache while the file is usable, else leased
//
// A source is usable or says why not, and a source that the configuration excludes never is: with mode
// "leases" the host cache, with mode "hostcache" the leases, with "off" both (DC8). So the originals' two ways,
// of which a site has one or the other, and both together are the same picture. Where one broker is to serve
// in an outage (Facts.Winner), the mode of the others is what it would be; they refuse.
//
// Lost means that no write was taken for Profile.Lost: a killed, silent, refusing, read-only, full or
// slow database are all the same to the users, so they are all the same here (LS9). Stepping aside
// (draining, DC7) needs less: one question that failed, and a peer whose database answered after that
// question was asked. A broker that has neither the database nor anything else to serve from drains,
// too: its probe says 503.
//
// A database that is lost for the third time within ten minutes is held down: the broker stays in the
// outage for ten minutes from there, however well the database answers in between (HC7).
//
// Acts in the journal of a broker that is normal or draining and whose database is not lost (a call was
// served from the files in between, or the process before left them) lead to recovering at once.
//
// An operator's word is above all of it: forced on, the broker serves from its files whatever the
// database does, unless there are none; forced off, it goes by the database alone (HC7).
package mode
