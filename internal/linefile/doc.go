// Package linefile appends the lines of a log to a file that others move away, and that may stand on a
// full disk.
//
// Invariants: only whole lines are handed in, and a line never starts behind one that broke off. After a
// log rotation (the path leads to another file than the open one, or to none) the lines go to a new file.
//
// Failure rules: what cannot be written is dropped and counted, never kept and never waited for beyond
// the one write. The fault is said once, and so is its end; each try in between is on a file opened anew.
//
//	           a write fails: said, counted
//	written  --------------------------------->  failed  --+
//	         <---------------------------------            | a write fails: counted
//	           a write goes through: said           ^------+
package linefile
