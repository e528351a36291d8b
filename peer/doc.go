// Package peer lets processes that trust each other ask one another: brokers about sessions and
// assigned desktops, GTM nodes about what they observe (design, section 9). One mutual TLS 1.3
// listener a process, an Ed25519 identity key a node, trust by pinned keys.
//
// A node proves that it holds its key in the TLS handshake; the certificate around the key is
// made anew at every start and says nothing. There is no authority, no name and no date to check:
// a connection stands if, and only if, the key at the other end is pinned, for a caller the one
// key pinned under the name that it calls. There is no signature on top of a request.
//
// A call is POST /peer/v1/{method} over HTTP/1.1 with a body of at most 1 MiB in each direction.
// It is made at most once: nothing is tried again, because only the caller knows whether that is
// safe. Rooms register their methods with Handle before Run.
//
// Invariants: both sides look the key up in the current table, the listener for every request,
// so that a peer that is no longer trusted is cut off at once, whatever connections it holds;
// the private key never leaves its file, and no body or key material is logged.
//
// Failure rules: ErrUnknownPeer is the configuration's fault, ErrUnreachable the network's or the
// other node's (ErrWrongKey if somebody else answers there), a RemoteError is the other node's
// answer. Every call ends with its context, without one after 10 s.
package peer
