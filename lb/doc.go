// Package lb decides which broker a request gets and carries it there: HTTP(S) listeners on
// fasthttp, pools of members, choice by response time, persistence by source address.
//
// # A request
//
//	accept -> TLS -> is_alive probe? answered here (AL4, LB11)
//	       -> guard: strict check of head and chunks -> persistence -> Pick -> upstream
//	       -> strict check of the answer -> averages
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
//   - No log line carries a header, a query string or a body.
//   - State of a member (in-flight, averages, connections, persistence) belongs to pool and
//     address and outlives a table.
//
// # Failure rules
//
//   - No member serves, or none could be reached: 503. The answer broke or was malformed: 502.
//     No byte within response_timeout: 504. The body says which, never an address.
//   - An answer that breaks after its head was sent on ends the client's connection.
//   - A table that does not fit the bound listeners changes nothing (Check, SetTable).
//
// # Limits of this version
//
// A request body is read whole, up to 4 MiB (413 above), before a member is chosen. Answers up to
// 64 KiB are read whole, longer or chunked ones are streamed; to HTTP/1.0 clients chunked answers
// are read whole, up to 8 MiB. Trailers are dropped, an Upgrade is not carried on, and a client
// that goes away does not cancel its request at the member. No Via field is added: several
// servers turn compression off where they see one.
package lb
