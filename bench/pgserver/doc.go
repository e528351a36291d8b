// Package pgserver runs a PostgreSQL server of its own for the length of a benchmark or of the demo:
// below one folder, on one loopback address, with fsync on.
//
// Invariants:
//
//   - Nothing of an installed cluster is touched: data, socket, log and certificate lie in Options.Dir.
//   - Over TCP a password is asked for. The Unix socket asks for none, and stands in a folder that only
//     the server's user may enter.
//   - PostgreSQL refuses to run as root. Started by root it runs as the user postgres, which the
//     package of the distribution makes, and is given what lies in its folder, nothing else.
//   - The server ends with the process that started it, however that ends; only one that is paused then
//     stays.
//
// Failure rules: a server that is not installed is an error that names the package; one that does not
// start is an error with the end of its log.
package pgserver
