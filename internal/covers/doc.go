// Package covers ties tests to requirement ids.
//
// A test that proves a requirement calls Req with its id. When the test ends
// and the environment variable SWITCHPOINT_COVERS names a file, one line of
// JSON is appended to it: the package, the test, the ids, and how the test
// ended. A skipped test records nothing, so a skip never counts as coverage.
// The program in internal/covers/report reads the file after a run, writes
// docs/coverage.md and fails the build when a required id has no passing test.
//
// ids.txt is the list of ids that exist, one a line; see LoadIDs for its form.
//
// Invariants: a record is one write of one line on a descriptor opened with
// O_APPEND, so test binaries that run side by side never mix their lines; a
// record that cannot be written fails the test, because silent loss would turn
// into a false report.
package covers
