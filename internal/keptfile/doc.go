// Package keptfile keeps small files in a state directory over restarts and crashes.
//
// Invariants: after a crash of the process or the machine a file holds the old content or the new one,
// whole. Whatever happens nothing else than the file, one NAME.new beside it and what was set aside is
// left in the directory.
//
// Failure rules: a write that fails changes nothing. A file that exists but cannot be used is set aside
// as NAME.broken-TIME and reported (ErrSetAside), so that nothing is lost and the next start is clean;
// one that cannot be read for another reason stays where it is.
package keptfile
