// Package conformance plays a broker for those who make thin clients: it leads a client through every
// step that a login can take, and through what a network can do to it, and says what the client did
// right and wrong.
//
// Each scenario is a user name, so that a client needs no special mode to be tried: sign in as "offers",
// as "waiting", as "redirect-ticket", with the one password, and connect to the first desktop.
//
//	client --> request --> scenario.answer(course so far) --> reply, slow or cut off
//	                            |
//	                            v
//	                     course: all requests of this scenario
//	                            |
//	                            v
//	              rules for all + scenario.judge --> findings --> Report
//
// There are three places: "here", where a client starts, "away", the other cluster that it may be
// redirected to, and "plain", which speaks no TLS and which no secret may reach.
//
// Invariants: answers and judgements are pure functions of the course; the messages are those of
// broker/api. The listeners keep nothing but the newest course of each scenario. Passwords are those
// that this package hands out; what a client sends in their place is compared, never shown.
//
// Failure rules: a request that belongs to no scenario is answered as a broker would answer it and
// listed in the report as a stray.
package conformance
