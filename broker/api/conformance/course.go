package conformance

import (
	"time"

	"switchpoint/broker/api"
)

// What a client signs in with.
const (
	Password    = "conformance-password"
	NewPassword = "a-better-conformance-password"
)

// place is a listener.
type place int

const (
	here  place = iota // where clients start
	away               // the other cluster
	plain              // without TLS
)

func (p place) String() string { return [...]string{"here", "away", "plain http"}[p] }

// kind is what a request asks for.
type kind int

const (
	login kind = iota
	poll
	offers
	connect
	logout
)

func (k kind) String() string { return [...]string{"login", "poll", "offers", "connect", "logout"}[k] }

// event is one request of a client and what it was answered.
type event struct {
	at       time.Time
	done     time.Time // when the answer was on its way; zero: not yet
	place    place
	kind     kind
	key      string // Idempotency-Key
	agent    string
	token    string // of the Authorization header
	login    api.LoginRequest
	connect  api.ConnectRequest
	fault    string // what a broker would refuse in the form of the request
	inURL    bool   // a secret stood in the URL
	reply    reply
	expected string // the token that was right
}

// secret says whether the request carries anything that others must not see.
func (e event) secret() bool {
	return e.login.Password != "" || e.login.NewPassword != "" || e.login.Ticket != "" || e.token != "" || e.kind == poll
}

// course is what a client did in one scenario, in order.
type course []event

// of gives the requests of a kind.
func (c course) of(k kind) course {
	var out course
	for _, e := range c {
		if e.kind == k {
			out = append(out, e)
		}
	}
	return out
}

// in gives the requests at a place.
func (c course) in(p place) course {
	var out course
	for _, e := range c {
		if e.place == p {
			out = append(out, e)
		}
	}
	return out
}

// reply is an answer to be given.
type reply struct {
	status     int
	body       any
	retryAfter int           // seconds
	after      time.Duration // before anything is sent
	cut        bool          // the connection is closed instead
	extra      bool          // with fields that clients do not know yet
}

// refusal is a login that is refused.
func refusal(code string, retryAfter int) reply {
	return reply{
		status: api.LoginStatus(code), retryAfter: retryAfter,
		body: api.LoginResponse{Result: api.ResultRefused, Reason: &api.Reason{Code: code, Text: "Refused on purpose: " + code + ".", RetryAfter: retryAfter, Ref: "1-conformance"}},
	}
}

func prompt(code, text string) reply {
	return reply{status: 200, body: api.LoginResponse{Result: api.ResultPrompt, Prompt: &api.Prompt{Kind: "new-password", Text: text, Code: code}}}
}

// signedIn is the end of a login; the server fills in the token and the offers.
func signedIn() reply { return reply{status: 200, body: api.LoginResponse{Result: api.ResultOffers}} }
