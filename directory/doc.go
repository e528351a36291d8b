// Package directory asks an authentication server (OpenLDAP, Active Directory) who a user is and
// whether the password is right: one search and one bind a login, on pooled connections (LD1).
//
// A Client serves one [[directory]]: one or more servers that hold the same users, in the order of
// the configuration or in turn, as listed or as the DNS names them (RFC 2782, asked every minute,
// and every 5 s while nobody answers). Each server has two pools, because a connection that binds
// as users must never search with what they may see: search connections are bound as the service
// account, bind connections are bound again by every login. Both are used by one operation at a
// time, and end after 300 s without use or 30 min.
//
// What a server is to its client:
//
//	         time-out, refused, closed, service account refused
//	 closed ---------------------------------------------------> open
//	(asked first)                                          (skipped, 0.5 s doubling to 5 s)
//	   ^                                                         |
//	   |  any answer                              back-off over: one operation may try
//	   +---------------------------------------------------------+
//
// The last server that is not open gets more patience, three failed operations in a row, unless
// it cannot even be dialled: with no other server to go to, one slow answer must not cost every
// login. Run asks every server's rootDSE (2 s after a failure, else 5 s), so that Health knows
// without traffic and a server that came back serves again at once.
//
// A gate before each pool lets max_conns operations in at once, and fewer (not below a quarter)
// while they take much longer than at their best; the others wait in their order, as long as their
// context lets them.
//
// Equal searches at the same time are one; binds never are. Groups are read only for rules that
// look at memberOf (LD2): the SIDs of tokenGroups beside the bind on Active Directory, whose names
// are kept for some minutes; memberOf elsewhere; or the groups in which groups are, level by level,
// kept as long. At most 20,000 groups and 64 levels: more is a fault, because a user with a part of
// his groups would be sent to the wrong home.
//
// Invariants: an empty password never reaches the wire (RFC 4513, 5.1.2), nor does one with a NUL
// or of more than 4 KB; every value in a filter is escaped (RFC 4515); the wait for a free
// connection ends with its context, and what follows on one server also by Config.Timeout; a
// password that may have reached a server is never sent again, to it or to another, so that a wrong
// one cannot lock an account faster than its owner typed it (a server that refers to another one
// has not looked at it); referrals lead to configured servers only, four at most, never in a circle;
// servers that the DNS names must stand in the domain that was asked for, unless server_name says
// what certificates must name; no name, filter, password or attribute is logged.
//
// Failure rules: ErrRefused is the user's fault (which one is in RefusedError, for logs only:
// nobody outside may learn whether a user exists); ErrUnavailable is the directory's and may be
// tried again; any other error is a fault of the configuration or a directory that breaks the
// protocol. A directory that is down at the start is no error.
//
// go-ldap knows no contexts and has no pool: an operation's end closes the connection under it. It
// believes what servers send: a result code of no or of nine bytes, or the answer to another kind
// of question, is success to it. So every message is checked before it gets there (guard.go), and
// what servers send is bounded: 4 MB and 131,072 elements for an operation.
package directory
