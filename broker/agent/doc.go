// Package agent is the desktop's side of the broker's agent protocol: it enrols the desktop once, and
// reports every 30 s that the desktop is on, how busy it is and whose sessions run on it.
//
//	            no key                    key kept
//	start ----------------> enrolling ----------------> reporting --every interval--> reporting
//	  |   key of earlier      |  ^                        |     ^
//	  +-----------------------|--|------------------------+     | answered
//	                          |  | wait, other broker     |     |
//	                          +--+                        +-> away: other broker, wait longer
//
// Invariants: it is built for Windows and Linux from the same files and imports nothing of the brokers.
// The key stands in the state directory, for its owner alone, and goes to brokers over TLS only (plain
// HTTP is refused for all but loopback addresses). Neither key nor token is logged. The broker tells the
// agent when to report and which reset it waits for; it can make it run nothing but the reset command
// of the agent's own configuration.
//
// Failure rules: a broker that does not answer costs a change to the next one, of the list or among the
// addresses of a name, after a wait that doubles from 1 s to 60 s and of which a random part counts, so
// that ten thousand agents do not come at once when a broker is back. The wait that a broker asks for is
// kept, and lengthened by a random part. A key that no broker knows is kept: the database may be an old
// copy for a while; with a token in the configuration the agent enrols again. Sessions that cannot be
// listed are not reported as none: there is no heartbeat then, so that nobody is given a desktop in use.
package agent
