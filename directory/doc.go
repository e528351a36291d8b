// Package directory asks an authentication server (OpenLDAP, Active Directory) who a user is and
// whether the password is right: one search and one bind a login, on pooled connections (LD1).
//
// A Client serves one [[directory]]: one or more servers that hold the same users, tried in
// their order. Each server has two pools, because a connection that binds as users must never
// search with what they may see: search connections are bound as the service account, bind
// connections are bound again by every login. Both are used by one operation at a time.
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
// Invariants: an empty password never reaches the wire (RFC 4513, 5.1.2); every value in a
// filter is escaped (RFC 4515); the wait for a free connection ends with its context, and what
// follows on one server also by Config.Timeout; a password that may have reached a server is never
// sent again, to it or to another, so that a wrong one cannot lock an account faster than its
// owner typed it; no name, filter, password or attribute is logged.
//
// Failure rules: ErrRefused is the user's fault (which one is in RefusedError, for logs only:
// nobody outside may learn whether a user exists); ErrUnavailable is the directory's and may be
// tried again; any other error is a fault of the configuration or a directory that breaks the
// protocol. A directory that is down at the start is no error.
//
// go-ldap knows no contexts and has no pool: an operation's end closes the connection under it.
package directory
