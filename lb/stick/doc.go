// Package stick remembers which member a client had (LB3), for a million clients and more in
// little memory, and estimates which sources are far more than one client.
//
//	key -> slot {key, member, expires}      24 bytes, no pointers: the collector never looks inside
//	          |  written by this process            |  learnt from another node
//	          +---- Bind, Use ----> Journal ----> the other nodes ----> Merge
//
// A key is 16 bytes that mean the same on every node: a masked address or the hash of a token, with
// the pool mixed in. There is one Table for all pools of a process, so that the bound on memory is
// one, too.
//
// Invariants: every use of an entry extends it, and an entry that has expired is never given. The
// table has at most as many slots as New was asked for; where they do not suffice, an expired entry
// goes first, then the one of a few that expires next. All operations look at a few slots of one of
// 64 shards under its own lock. No time is read here: callers say how long the process has run.
//
// The Journal notes what changed last. It keeps so many entries and no more: a reader that comes too
// late is told so, and reads the whole table instead.
package stick
