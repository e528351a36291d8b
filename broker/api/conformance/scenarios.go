package conformance

import (
	"fmt"
	"slices"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/api"
)

// scenario is one way that a login can take.
type scenario struct {
	name   string // the user to sign in as
	what   string // what happens
	ends   bool   // the client is expected to come to its desktop; may: or to stop
	may    bool
	answer func(s *settings, c course) reply
	judge  func(c course) []Finding
}

// settings are what answers depend on besides the course.
type settings struct {
	here, away, plain string // URLs
	slow              time.Duration
	retryAfter        int // seconds
	// ticket makes one for the scenario, poll the path of a login that waits.
	ticket func() string
	poll   func() string
}

func (s *settings) redirect(url, ticket string) reply {
	return reply{status: 200, body: api.LoginResponse{Result: api.ResultRedirect, Redirect: &api.Redirect{URL: url, Ticket: ticket}}}
}

func (s *settings) waiting(position int) reply {
	return reply{status: 202, retryAfter: s.retryAfter, body: api.LoginResponse{
		Result: api.ResultWaiting, Poll: s.poll(), Position: position, Reason: &api.Reason{Code: "queued", Text: "Your place is kept.", RetryAfter: s.retryAfter},
	}}
}

// refusedCodes are those with which a login can end.
var refusedCodes = []struct {
	code  string
	after int
}{
	{broker.CodeSignInFailed, 0},
	{broker.CodePasswordExpired, 0},
	{broker.CodeAccountDisabled, 0},
	{broker.CodeAccountExpired, 0},
	{broker.CodeNotNow, 0},
	{broker.CodeTooMany, 60},
	{broker.CodeRejected, 0},
	{broker.CodeHomeUnavailable, 30},
	{broker.CodePolicy, 0},
	{broker.CodeNoDesktop, 30},
	{broker.CodeKeyReused, 0},
	{broker.CodeInternal, 0},
}

// allScenarios lists them in the order in which they are best tried.
func allScenarios() []scenario {
	list := []scenario{
		{name: "offers", what: "signs in, then connects to the first desktop", ends: true, answer: func(*settings, course) reply { return signedIn() }},
		{name: "unknown-fields", what: "every answer has fields that no client knows yet", ends: true, answer: func(*settings, course) reply {
			r := signedIn()
			r.extra = true
			return r
		}},
		newPassword("new-password", 1), newPassword("new-password-twice", 2),
		waiting(), slow(), busy(), cut(), starting(), ended(),
		redirectPlainWay(), redirectTicket(), ticketRefused(), redirectToPlain(), redirectLoop(),
	}
	for _, r := range refusedCodes {
		list = append(list, refused(r.code, r.after))
	}
	return list
}

// newPassword asks for a new password as often as says.
func newPassword(name string, times int) scenario {
	what := "the password has expired: asks for a new one"
	if times > 1 {
		what = "asks for a new password, does not take the first one and asks again"
	}
	return scenario{name: name, what: what, ends: true, may: times > 1, // not every client can ask its user again
		answer: func(_ *settings, c course) reply {
			switch n := len(c.of(login)); {
			case n == 1:
				return prompt(broker.CodePasswordExpired, "Your password has expired. Please choose a new one.")
			case n <= times:
				return prompt(broker.CodePasswordPolicy, "The directory does not take this new password. Please choose another one.")
			}
			return signedIn()
		},
		judge: func(c course) (out []Finding) {
			for i, e := range c.of(login) {
				switch {
				case i == 0:
				case e.login.NewPassword == "":
					out = append(out, must("after a prompt of kind new-password the login was sent again without new_password"))
				case e.login.Password != Password || e.login.User != name:
					out = append(out, must("the answer to a prompt was not the same request with new_password added"))
				}
			}
			return out
		},
	}
}

func waiting() scenario {
	return scenario{name: "waiting", what: "stands in the queue: 202 with a place to ask at, twice", ends: true,
		answer: func(s *settings, c course) reply {
			if n := len(c.of(poll)); n < 2 {
				return s.waiting(7 - 3*n)
			}
			return signedIn()
		},
		judge: func(c course) (out []Finding) {
			if len(c.of(login)) > 1 {
				out = append(out, must("the login was sent again instead of asking at poll: this starts a second login"))
			}
			if len(c.of(poll)) == 0 {
				out = append(out, must("nobody asked at poll"))
			}
			return append(out, early(c)...)
		},
	}
}

func slow() scenario {
	return scenario{name: "slow", what: "the answer takes longer than most", ends: true,
		answer: func(s *settings, _ course) reply {
			r := signedIn()
			r.after = s.slow
			return r
		},
		judge: func(c course) (out []Finding) {
			logins := c.of(login)
			for i := 1; i < len(logins); i++ {
				if before := logins[i-1]; logins[i].at.Before(before.at.Add(before.reply.after)) {
					return append(out, must("the login was sent again while the first one was under way (brokers answer within 10 s, and balancers may add to it)"))
				}
			}
			return out
		},
	}
}

func busy() scenario {
	return scenario{name: "busy", what: "503 with Retry-After, then as usual", ends: true,
		answer: func(s *settings, c course) reply {
			if len(c.of(login)) == 1 {
				return refusal(broker.CodeBusy, s.retryAfter)
			}
			return signedIn()
		},
		judge: func(c course) []Finding {
			out := early(c)
			if logins := c.of(login); len(logins) > 1 {
				out = append(out, sameAgain(logins[0], logins[1])...)
			}
			return out
		},
	}
}

func cut() scenario {
	return scenario{name: "cut", what: "the connection is closed after the login was received, so that its answer is lost", ends: true,
		answer: func(_ *settings, c course) reply {
			if len(c.of(login)) == 1 {
				return reply{cut: true}
			}
			return signedIn()
		},
		judge: func(c course) (out []Finding) {
			if logins := c.of(login); len(logins) > 1 {
				out = sameAgain(logins[0], logins[1])
			}
			return out
		},
	}
}

func starting() scenario {
	return scenario{name: "desktop-starting", what: "the desktop is being started: connect answers 202 with a place to ask at", ends: true,
		answer: func(*settings, course) reply { return signedIn() },
		judge: func(c course) []Finding {
			out := early(c)
			connects := c.of(connect)
			for i := 1; i < len(connects); i++ {
				if connects[i].connect != connects[0].connect || connects[i].key != connects[0].key {
					out = append(out, must("connect was asked again with another offer or Idempotency-Key: that may give a second desktop"))
				}
			}
			return out
		},
	}
}

func ended() scenario {
	return scenario{name: "session-ended", what: "connect answers 401: the session has ended",
		answer: func(*settings, course) reply { return signedIn() },
		judge: func(c course) (out []Finding) {
			tokens := make(map[string]int)
			for _, e := range c.of(connect) {
				if tokens[e.token]++; tokens[e.token] > 1 {
					return append(out, must("a token was used again after it had been refused with 401"))
				}
			}
			if len(tokens) == 0 {
				out = append(out, must("did not connect"))
			}
			return out
		},
	}
}

// refused ends with a "no" that trying again does not change.
func refused(code string, after int) scenario {
	return scenario{name: "refused-" + code, what: fmt.Sprintf("is refused with status %d", api.LoginStatus(code)),
		answer: func(*settings, course) reply { return refusal(code, after) },
		judge: func(c course) (out []Finding) {
			if len(c.of(login)) > 1 {
				out = append(out, must("the login was sent again after %s: with a wrong password that locks accounts", code))
			}
			return out
		},
	}
}

// names lists the scenarios.
func names(list []scenario) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = s.name
	}
	return slices.Clip(out)
}
