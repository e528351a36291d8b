// Package demodir is a directory for `switchpoint demo` and for tests: a few made-up users of
// dc=company,dc=com in OU=US and OU=UK, served over LDAP from memory. It is a demonstration, not
// a directory to run a company on: the users are fixed, nothing is stored, nobody can write.
//
// It speaks the part of LDAPv3 (RFC 4511) that a login uses: simple bind, search with base,
// one-level and subtree scope, and the filters and, or, not, equality and presence; other filters
// are undefined and match nothing. Everything else is answered with protocolError or
// unwillingToPerform. With Options.TLS it is LDAPS; there is no StartTLS.
//
// It reads the wire itself, with go-ldap's BER package. The server library gldap v0.1.14 does not
// fit: it takes an address, not a listener, so that with port 0 nobody learns the port, and its
// Stop waits for clients to leave, which pooled connections never do.
//
// Invariants: the root DSE is public, everything else can be read by ServiceDN only; passwords
// are compared in constant time; requests are bounded (64 KiB); Run ends every connection before
// it returns.
//
// Failure rules: a request that cannot be decoded ends its connection, which is logged at debug
// level without what it said.
package demodir
