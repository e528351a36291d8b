// Package client is the thin client's side of the broker API: from one name to a desktop.
//
// It resolves the name by asking the given DNS servers itself (a thin client in a test or a demo
// must not depend on the machine's resolver), signs in over HTTPS, follows redirects to the home
// cluster, connects to the first desktop that is offered, and keeps every step as a Hop with its
// time, so that a person sees where a login went and what each part cost.
//
// Invariants: a password goes to the broker that was asked for and to where a broker redirects
// it, never from https to http, never to an SRV target outside of the domain that was asked for,
// and never appears in a Hop or an error; the number of redirects is bounded and no place is
// visited twice (RD8); a login carries one Idempotency-Key per cluster, so that a retry cannot sign in twice
// (LG4).
//
// Failure rules: a DNS server that does not answer is skipped for the next one; an address that
// refuses the connection is skipped for the next one; an answer "refused" ends the login with
// *RefusedError. Everything else is an error that names the step.
package client
