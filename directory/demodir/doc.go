// Package demodir is a directory for `switchpoint demo` and for tests: a few made-up users of
// dc=company,dc=com in OU=US and OU=UK, served over LDAP from memory. It is a demonstration, not
// a directory to run a company on: the users are fixed, nothing is stored, nobody can write.
//
// The protocol (RFC 4511) is the library gldap's: connections, decoding, routing. Here stand the
// answers to what a login uses: simple bind, search with base, one-level and subtree scope, and
// the filters and, or, not, equality and presence; other filters are undefined and match nothing.
// Writes and extended operations are refused. With Options.TLS it is LDAPS; there is no StartTLS.
//
// Invariants: the root DSE is public, everything else can be read by ServiceDN only; who is bound
// is known per connection and forgotten with it; passwords are compared in constant time; nothing
// that a client sends is logged.
//
// Failure rules: what gldap cannot decode or route ends its connection, among it abandon, compare,
// SASL binds and LDAPv2. When Run ends, the port is closed at once; a client that keeps its
// connection gets unavailable for its next request and is then disconnected.
//
// Limits that come with gldap v0.1.14: neither the size of a request nor the number of connections
// is bounded, so the place for this server is a loopback address, where the demo puts it; its log
// is switched off, because it can hold passwords and keys; and a connection that says nothing
// cannot be closed from here, so that its goroutine outlives Run until the client leaves or the
// connection is an hour old.
package demodir
