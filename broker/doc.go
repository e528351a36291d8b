// Package broker decides who gets which desktop: it signs users in against their directories,
// sends them to their home cluster, offers desktops and gives them out.
//
// One login, with the one place where each question is answered:
//
//	arrive -> admission -> identify -> decideHome -> choosePolicy -> Store.Login -> offers
//	            |busy        |sign-in-   |redirect      |             |
//	            v            | failed    |rejected      v             v
//	          refused        v           |home-         (grants)      session + log row + key,
//	                       refused at    v unavailable                one transaction
//	                       300 ms      redirected or refused
//
// The table is the compiled setup (directories, rules, policies), immutable behind one pointer.
// The setup itself lives in the store; every broker asks for its version once a second and
// compiles a new table when it moved. A setup that cannot be used leaves the old one in place.
//
// Invariants: the store is the only memory, so that any broker of the cluster serves any
// session (DC3) and kill -9 loses nothing that was answered. A pooled desktop is bound to one
// user at a time: the claim is a row whose primary key is the desktop. A token leaves this
// package once, in the answer to its login; only its SHA-256 is stored (SE1). Every refusal has
// a code from the fixed list and the reference of its log row. No password is logged or stored.
//
// Failure rules: a directory that does not answer is not a wrong password. A store that does not
// answer within its bound refuses with store-unavailable; Alive says 503 until the background
// calls of Run succeed again. A process whose site id was taken over (ErrFenced) stops.
package broker
