// Package lb decides which broker a request gets and carries it there: HTTP(S) listeners on
// fasthttp, tcp listeners for everything else, pools of members, choice by response time,
// persistence by source address.
//
// # A request
//
//	accept -> PROXY protocol -> TLS -> is_alive probe? answered here (AL4, LB11)
//	       -> guard: strict check of head and chunks -> redirect or route -> persistence
//	       -> Pick -> upstream -> strict check of the answer -> averages -> access log
//
// Pick is pure: (states, in-flight, averages, persisted member, draw) -> member and reason.
// Explain runs the same function without side effects. Health is read from one snapshot per
// request, configuration from one table per request.
//
// # A member, as the balancer itself sees it (beside its health state)
//
//	       connect refused or timed out           any answer
//	used ------------------------------> shunned -------------> used
//	                                     | 1 s, 2 s ... 10 s passed
//	                                     v
//	                                  one request tries it; the others go on avoiding it
//
// # tcp mode
//
//	accept -> PROXY protocol -> TLS ends here, or a look at the name that the client asks for
//	       -> route by that name -> persistence -> Pick -> connect, the next member when it fails
//	       -> PROXY protocol -> both directions until both have ended -> access log
//
// Pools, methods, states, persistence and Explain are those of HTTP; a connection counts as a
// request in flight for as long as it is open, and the time to connect takes the place of the time
// to the first byte. The look at a ClientHello (helloName) is pure, stops at the name, and takes
// 16 KB and 5 s at most; the member gets every byte. Without a name, or without TLS, the client
// gets the listener's own pool.
//
// Between two plain sockets bytes go through a pipe in the kernel (splice), which a direction has
// only while it moves some; where TLS begins or ends here they are copied. Either way a direction
// reads no more before the other side has taken what was read, so a slow reader slows its sender
// and costs no memory. The end of one direction is handed on by itself (half-close). Every other
// end resets both sides, so that nobody takes a cut stream for a whole one: a side that broke,
// idle_timeout, a drain that is over, on_down = "close". Draining members and reloads leave open
// connections alone. What a client sent is never sent to a second member.
//
// # Invariants
//
//   - A member that healthcheck.Serving does not name never gets a request (HK4). Shunning only
//     orders the serving members: where all of them are shunned, all are used.
//   - A request is sent a second time only where the first attempt cannot have been processed:
//     nothing was sent, or a kept-alive connection broke before any byte of the answer and the
//     method is safe or the request carries an Idempotency-Key (LG4).
//   - No byte of a request reaches a parser before the guard has judged it by the strict check:
//     one meaning, or a refusal and the end of the connection. Answers are judged by the same rules.
//     testdata/strict is the table of what is refused and why, deviations.txt there what differs
//     from the RFCs.
//   - A connection to a member that has something to read before it is used again is not used
//     again: nobody asked for what it says.
//   - What is forwarded is written anew from fields that passed the strict check: one framing
//     (Content-Length), no hop-by-hop fields, no field that a client may use to claim another
//     source than its own unless it is a trusted proxy.
//   - No log line carries a field's value (but Host), a query string, a path's parameters, a body.
//   - Only a trusted proxy says who the client is: by X-Forwarded-*, Forwarded, a request's id or
//     the PROXY protocol. A listener of the PROXY protocol closes whoever sends no good header.
//   - A connection that was introduced to a member as a client's (send_proxy) carries no request
//     of another one.
//   - No request waits for the disk: a line of the access log that finds no room is lost and counted.
//   - State of a member (in-flight, averages, connections, persistence) belongs to pool and
//     address and outlives a table.
//
// # Failure rules
//
//   - No member serves, or none could be reached: 503. The answer broke or was malformed: 502.
//     No byte within response_timeout: 504. The body says which, never an address.
//   - An answer that breaks after its head was sent on ends the client's connection.
//   - A table that does not fit the bound listeners changes nothing (Check, SetTable).
//   - A changed certificate that cannot be used leaves the old one in use; an access log that
//     cannot be written loses its lines. Both are said once and counted; requests go on.
//
// # Limits of this version
//
// A request body is read whole, up to 4 MiB (413 above), before a member is chosen. Answers up to
// 64 KiB are read whole, longer or chunked ones are streamed; to HTTP/1.0 clients chunked answers
// are read whole, up to 8 MiB. Trailers are dropped, an Upgrade is not carried on, and a client
// that goes away does not cancel its request at the member. No Via field is added: several
// servers turn compression off where they see one.
package lb
