// Package lb decides which broker a request gets and carries it there: HTTP(S) listeners, tcp
// listeners for everything else, pools of members, choice by response time, persistence by source
// address, cookie or session.
//
// # A request
//
//	accept -> PROXY protocol -> TLS -> is_alive probe? answered here (AL4, LB11)
//	       -> strict check of the head (readHead), and of the body that is here (gather)
//	       -> redirect or route -> persistence -> Pick -> a place at a member (attempt)
//	                                               |  all full: wait in the pool's queue
//	                                               |  none serves: the backup pool
//	       -> strict check of the answer -> averages -> client (relay) -> access log
//
// Pick is pure: (states, in-flight, averages, persisted member, draw) -> member and reason.
// Explain and Why run the same function without side effects: which member a client gets, and what
// a member gets. Health is read from one snapshot per request, configuration from one table per
// request.
//
// # A member, as the balancer itself sees it (beside its health state)
//
//	       connect refused or timed out           any answer
//	used ------------------------------> shunned -------------> used
//	                                     | 1 s, 2 s ... 10 s passed
//	                                     v
//	                                  one request tries it; the others go on avoiding it
//
//	        max_in_flight                     one leaves
//	places -------------> full, others wait ------------> the first who waits picks again
//
//	        away: down, draining, overloaded        up                       slow_start
//	there ----------------------------------> away ----> back, share grows ------------> there
//
// What operators say of it (Word) lies over its health and hides nothing of it: it is kept in the
// state directory and on the other nodes, and belongs to pool and address.
//
//	        drain, weight 0                        deadline
//	up <------------------> draining -------------------------> maintenance <---- disable
//	        enable, expiry    its clients stay (Bond)   nobody
//
// Rules of the upstream side: a client that is bound stays at a member that drains; one with a
// session (Firm) also at one that is overloaded, unless it says that it steps aside (package
// choice), and waits for a place there. The others leave the overloaded and the full. A pool whose
// members cannot serve, or all refuse, is stood in for by its backup pool, request by request: it
// is back with its first member. is_alive answers for the pool that would serve. Connections that
// are open, of tcp listeners and upgraded ones, are not touched by words.
//
// # Persistence: how a pool knows a client again (recognise)
//
//	kind            what is known             where                    bond
//	source-address  address, masked           table (package stick)    firm
//	cookie          a signed cookie of ours   at the client            firm
//	session         hash of the token         table, after an answer   firm
//	                below 400
//	  without one,  address, masked           table, unless the source loose
//	  or a new one                            is spread
//
// What may serve a client with a firm bond is more than what may serve a new one: a member that
// drains, or is overloaded, keeps it (Pick). Every use extends a bond. A source that brings more
// than spread_above times its fair share of a pool's latest requests without a session is an office,
// not a client: each of its requests goes by the pool's method, which sessions bear since brokers hand
// them over (stick.Sources).
//
// The cookie says which member it is by a hash that only holders of the secret can make, and when it
// was written; a forged one, one of another pool, secret or member counts as none. Members never see
// it. Where persistence_secret is left out, the node makes a secret and keeps it in its state
// directory. Clients with cookies are in no table, so they are not counted.
//
// Other nodes of [lb.nodes] are told of all entries, and of what operators said (package nodes). They
// know members by pool and address; the ids here are of one process.
//
// # Bodies, and who owns what
//
//	client --- readHead, gather ---> [ upload ] ---> member     a second goroutine only while a
//	client <------- relay --------- answer head <--- member     body is not all here, or a tunnel
//
// One goroutine owns a client's connection and, while a request is there, the member's. Bodies are
// passed on as they arrive, decoded and framed anew: a length stays a length, chunks stay chunks.
// Buffers are borrowed while there are bytes in them (wire), and answers are sent from where they
// were read. Answers of known length up to 64 KiB are read whole first, so that a member that
// breaks off gives a clean 502.
//
// An answer that comes before the body was sent ends both connections; from 300 on it stops the
// upload at once, below that it may be an exchange in both directions and goes on while it lasts.
// Expect: 100-continue goes to the member where the client waits; a member that says nothing for
// a second does not keep it waiting. Interim answers reach HTTP/1.1 clients. Trailers reach the
// member, and clients that ask for them (TE: trailers, named in Connection). Upgrade is carried on
// to WebSocket only, as a tunnel with half-close.
//
// A connection on which NTLM or Negotiate is spoken, on either side, is the client's own from then
// on: its requests stay on it and at its member, and it ends with the client.
//
// # Time
//
// No wait has a timer of its own. A goroutine notes until when it may wait (limit), and the watcher
// (keepLimits) looks at all notes every eighth of the shortest limit, at most every 250 ms, and
// wakes who is over his. The same look asks the kernel which clients that wait for a member have
// gone: a broken connection cancels the request. One that closed its sending side may still wait
// for the answer (RFC 9112 9.6), so it gets 102 Processing: a socket that is closed answers that
// with a reset. HTTP/1.0 has no interim answers; there only a break counts. (nginx gives up in both
// cases unless proxy_ignore_client_abort is set, HAProxy in neither unless option abortonclose is.)
// On other systems than Linux a client that has gone is noticed when its answer is written.
//
// # tcp mode
//
//	accept -> PROXY protocol -> TLS ends here, or a look at the name that the client asks for
//	       -> route by that name -> persistence -> Pick -> connect, the next member when it fails
//	       -> PROXY protocol -> both directions until both have ended -> access log
//
// Pools, methods, states, persistence and Explain are those of HTTP; a connection counts as a
// request in flight for as long as it is open, and the time to connect takes the place of the time
// to the first byte. All connections are of one class (classTable). The look at a ClientHello
// (helloName) is pure, stops at the name, and takes 16 KB and 5 s at most; the member gets every
// byte. Without a name, or without TLS, the client gets the listener's own pool.
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
//   - A member that healthcheck.Serving does not name never gets a request (HK4), but of clients
//     that may stay there, and one that is up in another mode than normal when no member in mode
//     normal can take it (DC7). Shunning only orders the serving members: where all of them are shunned,
//     all are used, and with panic_threshold where most are.
//   - No member has more requests than max_in_flight. Who waits is served in the order of coming,
//     before all who come later but for clients that find a place at the member that they had.
//   - A word that was said is on disk, or its sayer was told why not.
//   - A request is sent a second time only where the first attempt cannot have been processed:
//     nothing was sent, or a kept-alive connection broke before any byte of the answer and the
//     method is safe or the request carries an Idempotency-Key (LG4); of its body no more than
//     64 KiB may have been sent. Where a fresh connection breaks, a request with a safe method goes
//     to one other member, and so does one with the key if a kept-alive one broke just before. All
//     within the pool's retry budget: 100 in 10 seconds, or a fifth of the requests.
//   - There is one reading of a request: the strict check finds one meaning, or refuses it and ends
//     the connection. No head is sent on before all of it was judged, no byte of a body before its
//     framing was. Answers are judged by the same rules.
//     testdata/strict is the table of what is refused and why, deviations.txt there what differs
//     from the RFCs.
//   - A connection to a member that has something to read before it is used again is not used
//     again: nobody asked for what it says.
//   - What is forwarded is written anew from fields that passed the strict check: one framing, no
//     hop-by-hop fields but our own, no field that a client may use to claim another
//     source than its own unless it is a trusted proxy.
//   - No log line carries a field's value (but Host), a query string, a path's parameters, a body.
//   - Only a trusted proxy says who the client is: by X-Forwarded-*, Forwarded, a request's id or
//     the PROXY protocol. A listener of the PROXY protocol closes whoever sends no good header.
//   - A connection that was introduced to a member as a client's (send_proxy) carries no request
//     of another one.
//   - No request waits for the disk: a line of the access log that finds no room is lost and counted.
//   - A token is never kept: only a part of its hash, and not even that of one that the member
//     refuses (400 and above). One that comes with a request for what anybody may see is kept, like
//     a source address. The table holds a million clients of all pools in 50 MB, and no more.
//   - State of a member (in-flight, averages, connections, persistence) belongs to pool and
//     address and outlives a table.
//
// # Failure rules
//
//   - No member serves, or none could be reached: 503. The answer broke or was malformed: 502.
//     No byte within response_timeout: 504. The body says which, never an address.
//   - No place within queue_timeout, or more waiting than queue: 503 with Retry-After; a tcp
//     client is cut off. A client that goes frees its place in the queue.
//   - Words that cannot be read at the start are set aside and said: the members serve as
//     configured.
//   - An answer that breaks after its head was sent on ends the client's connection, for HTTP/1.0
//     without a length by a reset.
//   - A client that is too slow gets 408: 30 seconds (ReadTimeout) for a head and for every wait inside a body,
//     and 512 bytes a second on average for a body that takes longer than that. Its slowness is no
//     fault of the member. A body that turns out to be malformed when a part of it was sent on ends
//     both connections.
//   - A table that does not fit the bound listeners changes nothing (Check, SetTable).
//   - A process that is told to stop goes on taking connections for stop_delay, but keeps none for
//     another request: whatever asks /readyz sends clients elsewhere meanwhile.
//   - A changed certificate that cannot be used leaves the old one in use; an access log that
//     cannot be written loses its lines. Both are said once and counted; requests go on.
//
// # Limits of this version
//
// No Via field is added: several servers turn compression off where they see one. The forbidden
// fields of a trailer (testdata/strict) are refused, not dropped. HTTP/2 is not spoken.
package lb
