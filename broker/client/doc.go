// Package client is the thin client's side of the broker API: from one name to a desktop.
//
// It resolves the name by asking the given DNS servers itself (a thin client in a test or a demo
// must not depend on the machine's resolver), signs in over HTTPS, follows redirects to the home
// cluster with the ticket that it is given, answers the question for a new password, waits in the
// queue, connects to the first desktop that is offered, and keeps every step as a Hop with its
// time, so that a person sees where a login went and what each part cost.
//
//	start --> step --> offers --> connect --> desktop
//	           ^ |  \
//	  prompt,  | |   +--> redirect: the next cluster, with a ticket or the password
//	  waiting, +-+   +--> refused
//	  503, lost
//
// Invariants: a password goes to the broker that was asked for, and to where a broker redirects it if there
// is no ticket or the ticket is refused; never from https to http, never to an SRV target outside of the
// domain that was asked for, and it never appears in a Hop or an error. The number of redirects is bounded
// and no place is visited twice (RD8). Each step carries an Idempotency-Key of its own, the same when it is
// sent again, so that a retry cannot sign in twice (LG4).
//
// Failure rules: a DNS server that does not answer is skipped for the next one; an address that
// refuses the connection is skipped for the next one; a step whose connection is lost is sent once more; 503
// with Retry-After is asked again within Options.Patience; an answer "refused" ends the login with
// *RefusedError, a question that nobody answers with *PromptError. Everything else is an error that names
// the step.
package client
