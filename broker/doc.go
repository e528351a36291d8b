// Package broker decides who gets which desktop: it signs users in against their directories,
// sends them to their home cluster, offers desktops and gives them out.
//
// One login, with the one place where each question is answered:
//
//	arrive -> admission -> identify -> decideHome -> choosePolicy -> Store.Login -> offers
//	            |busy        |sign-in-   |redirect      |             |
//	            v            | failed    |rejected      v             v
//	          refused        v           |home-         (grants)      session + log row + key,
//	                       refused at    v unavailable                one transaction
//	                       300 ms      redirected or refused
//
// Admission is the queue of logins (LG1): capacity of them are in work, the others wait in one lane for
// each client address, and the lanes take turns. A login that cannot be answered by its deadline, which
// counts from its arrival, is refused at once where the measured rate says so, else when the deadline comes:
// no answer is a late yes. After answer_within its client is told an id to ask for the outcome by, at any
// broker of the cluster; the login goes on in a goroutine that Run waits for. queue (admissionqueue.go)
// decides, without clock and lock; admission and pending (waiting.go) are what stands around it.
//
// The table is the compiled setup (directories, rules, policies), immutable behind one pointer.
// The setup itself lives in the store; every broker asks for its version once a second and
// compiles a new table when it moved. A setup that cannot be used leaves the old one in place.
//
// Invariants: the store is the only memory, so that any broker of the cluster serves any
// session (DC3) and kill -9 loses nothing that was answered. A pooled desktop is bound to one
// user at a time: the claim is a row whose primary key is the desktop. A token leaves this
// package once, in the answer to its login; only its SHA-256 is stored (SE1). Every refusal has
// a code from the fixed list and the reference of its log row. No password is logged or stored.
//
// The inventory: desktops stand in the setup, or come from centers, which jobs scan. A scan reads all
// of its source before it writes, so one that fails changes nothing; one that would mark more than
// max_vanish percent as vanished waits for an operator. The desktop of a center:
//
//	                 listed                  not listed
//	(machine) ------------------> present <--------------> vanished: not offered; who holds
//	                              |    ^       listed      |  it keeps it
//	      its source says so, or  |    |                   |
//	      an operator: maintenance v   |                   v
//	                     disabled, maintenance          deleted: with its center, or when
//	                                                    the setup takes the name over
//
// Each desktop stands in one pool (Placement), which a scan, a new setup and the job "pool refresh"
// work out anew. A claim names the pool that was offered: its desktop may be of the backup pool, and
// whoever works on a desktop that moves to another pool keeps it until he logs out.
//
// The cluster: a broker is a member through its row. Two things about it are kept apart (DC2). Its
// beat, every 2 s, says that the process lives; 6 s of silence make its site id free and the broker
// suspect. Its heartbeat job, every 5 min, says that it works off jobs (broker/jobs):
//
//	         job added (start, rejoin)        three heartbeats missed
//	(joined) ------------------------> running ----------------------> unavailable
//	                ^                   |    ^                          |       |
//	                |    job cancelled, |    +----- its heartbeat ran --+       | Remove
//	                |    or it left     v                                       v
//	                +---------------- stopped ---------- Remove --------------> (removed)
//
// Each Join and each removal raises the epoch of the site id; whoever holds an older one is told
// with its next call: ErrRemoved when nobody has its place (it joins again, with no claims), else
// ErrFenced (it stops). A broker that was stopped by SIGSTOP and goes on keeps its epoch if neither
// happened; its jobs were taken back 8 s after its last renewal, its own clock ends their contexts
// as soon as it runs, and the store refuses whatever it still says about them.
//
// With each beat a broker says how busy its host is (HostLoad), how many logins it carries, and what its
// clock shows; nothing is decided by that clock. Goals judges availability, disaster recovery and capacity
// apart (OP1), from the rows of the brokers and the counts of logins by the hour.
//
// Sessions: the broker that a token names is asked first (over peer, 300 ms), then the store; the answer
// of either is good for 2 s in memory (handover.go has the whole way). So a logout counts everywhere
// after 2 s at most, and at once for connects, which the store checks. A session with session_expiry is
// prolonged while it is used, by one write a minute.
//
// Whose home: a login that the rules send to another cluster gets a ticket (ticket.go), and one that comes
// with a ticket passes through all of the above but for the password. A ticket is good for one cluster,
// once, for a minute; the statement that records the login spends it. Its issuer's key is asked for over
// peer, never taken from the client (ticketkeys.go). It is a secret: no log row, no reason and no error
// holds one.
//
//	issued by uk ----> verified by us: form, trust, signature, audience, time, visited clusters
//	                      |                                      |
//	                      v entry found by its id                v
//	                   Store.Login: spent there already -> ticket-refused: sign in with the password
//
// Failed sign-ins are counted in memory (limiter.go), by user and address, by user, and by address; the
// brokers tell each other of them in the background (limitshare.go), so that a block holds everywhere within
// a second and no login waits for it. A block that is known never ends early; with the store gone, each
// broker has its share of the limits. Who is blocked is refused before the queue and without asking anybody,
// and every refusal is answered at a whole number of 300 ms after its arrival. A wrong password that has been
// sent to a directory counts though its client hangs up, for it counts there; where another directory is
// silent it counts against the user alone.
//
// Desktops: heartbeats of agents are collected for a second and written together; an agent is answered
// when its report is durable. A desktop that is off is started by a job; whoever wants it asks again
// until it is up. A pooled desktop goes back to its pool when its user has left it: agent.go has the
// states of one that has to be reset first.
//
// Failure rules: a directory that does not answer is not a wrong password. A store that does not
// answer within its bound refuses with store-unavailable; Alive says 503 until the background
// calls of Run succeed again. A process whose site id was taken over (ErrFenced) stops.
package broker
