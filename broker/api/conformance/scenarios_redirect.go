package conformance

import (
	"switchpoint/broker"
)

// The scenarios of a user whose home is another cluster (RD8).

func redirectPlainWay() scenario {
	return scenario{name: "redirect", what: "the home is another cluster, no ticket: signs in there with the password", ends: true,
		answer: func(s *settings, c course) reply {
			if c[len(c)-1].place == here {
				return s.redirect(s.away, "")
			}
			return signedIn()
		},
		judge: onceHere,
	}
}

func redirectTicket() scenario {
	return scenario{name: "redirect-ticket", what: "the home is another cluster, with a ticket in place of the password", ends: true,
		answer: func(s *settings, c course) reply {
			if c[len(c)-1].place == here {
				return s.redirect(s.away, s.ticket())
			}
			return signedIn()
		},
		judge: func(c course) []Finding {
			out := onceHere(c)
			for _, e := range c.in(away).of(login) {
				if e.login.Password != "" {
					return append(out, must("the password was sent to the home cluster although there was a ticket"))
				}
			}
			return out
		},
	}
}

func ticketRefused() scenario {
	return scenario{name: "ticket-refused", what: "the home cluster does not take the ticket: signs in there with the password", ends: true,
		answer: func(s *settings, c course) reply {
			switch last := c[len(c)-1]; {
			case last.place == here:
				return s.redirect(s.away, s.ticket())
			case last.login.Ticket != "":
				return refusal(broker.CodeTicket, 0)
			}
			return signedIn()
		},
		judge: func(c course) []Finding {
			out := onceHere(c)
			tickets := 0
			for _, e := range c.in(away).of(login) {
				if e.login.Ticket == "" {
					continue
				}
				if tickets++; tickets > 1 {
					return append(out, must("a refused ticket was sent again"))
				}
			}
			if tickets == 0 {
				out = append(out, must("the ticket was not used"))
			}
			return out
		},
	}
}

// redirectToPlain needs no rule of its own: nothing secret may reach that place in any scenario.
func redirectToPlain() scenario {
	return scenario{name: "redirect-plain", what: "is redirected from https to http: must not go there",
		answer: func(s *settings, c course) reply {
			if c[len(c)-1].place == here {
				return s.redirect(s.plain, s.ticket())
			}
			return signedIn()
		},
		judge: onceHere,
	}
}

func redirectLoop() scenario {
	return scenario{name: "redirect-loop", what: "two clusters send the user to each other: must stop",
		answer: func(s *settings, c course) reply {
			if c[len(c)-1].place == here {
				return s.redirect(s.away, "")
			}
			return s.redirect(s.here, "")
		},
		judge: onceHere,
	}
}

// onceHere: whoever was sent away does not come back.
func onceHere(c course) []Finding {
	gone := false
	for _, e := range c.of(login) {
		switch {
		case e.place != here:
			gone = true
		case gone:
			return []Finding{must("came back to a cluster that had redirected it: a redirect loop goes on for ever")}
		}
	}
	return nil
}
