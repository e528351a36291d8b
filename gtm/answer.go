package gtm

import "github.com/miekg/dns"

// Answer is a DNS answer with its reason.
type Answer struct {
	Rcode         int
	Authoritative bool
	Answer        []dns.RR
	Ns            []dns.RR
	Extra         []dns.RR
	// ExtraNeeded is how many of Extra, from the first, the answer is useless without (the
	// in-domain glue of a referral, RFC 9471): it is truncated rather than sent without them.
	ExtraNeeded int
	Extended    []ExtendedError // for clients with EDNS
	// Scope is how many bits of the client's address the answer depends on (RFC 7871).
	Scope   int
	Version ZoneVersion // for clients that ask for it
	Reason  Reason
}

// ZoneVersion is the version of the zone that the question lies in (RFC 9660).
type ZoneVersion struct {
	Known  bool
	Labels uint8 // of the origin
	Serial uint32
}

// ExtendedError says more than the response code (RFC 8914).
type ExtendedError struct {
	Code uint16
	Text string
}

// Codes of extended errors.
const (
	edeOther            = 0
	edeNotReady         = 14
	edeProhibited       = 18
	edeNotAuthoritative = 20
	edeNotSupported     = 21
	edeSynthesized      = 29
)
