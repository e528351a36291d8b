// Package ldapserver runs an OpenLDAP server (slapd) of its own for the length of a benchmark: below
// one folder, on one loopback address, with users that are made up.
//
// Invariants:
//
//   - Nothing of an installed server is touched: data, configuration and log lie in Options.Dir.
//   - Users are searched by the service account alone, over LDAPS; nobody reads passwords, which are
//     stored as {SSHA}. The database is mdb with an equality index on uid, and a commit is a commit.
//   - Started by root it runs as the user openldap, which the package of the distribution makes.
//   - The server ends with the process that started it, however that ends.
//
// Failure rules: a server that is not installed is an error that names the package; one that does not
// start is an error with the end of its log.
package ldapserver
