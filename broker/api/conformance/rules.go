package conformance

import (
	"fmt"
	"time"

	"switchpoint/broker"
)

// Levels of a finding.
const (
	Must   = "must"   // the client is wrong: with a real broker it fails, or puts a user in danger
	Should = "should" // it works, and could be better
)

// Finding is something that a client did wrong.
type Finding struct {
	Level string `json:"level"`
	What  string `json:"what"`
}

func must(format string, args ...any) Finding   { return Finding{Must, fmt.Sprintf(format, args...)} }
func should(format string, args ...any) Finding { return Finding{Should, fmt.Sprintf(format, args...)} }

// tolerance is how much before its time a request may come.
const tolerance = 50 * time.Millisecond

// findings applies the rules of the scenario and those for all. Each finding is told once.
func (s *scenario) findings(c course) []Finding {
	if len(c) == 0 {
		return nil
	}
	var all []Finding
	for _, e := range c {
		all = append(all, form(e)...)
	}
	all = append(all, keys(c)...)
	all = append(all, manners(c)...)
	if s.judge != nil {
		all = append(all, s.judge(c)...)
	}
	if s.ends && !s.may && !arrived(c) {
		all = append(all, must("the client did not get to its desktop: its last request was %s, %s", c[len(c)-1].kind, c[len(c)-1].place))
	}
	var out []Finding
	told := make(map[Finding]bool)
	for _, f := range all {
		if !told[f] {
			told[f] = true
			out = append(out, f)
		}
	}
	return out
}

// arrived says whether a connect has succeeded.
func arrived(c course) bool {
	for _, e := range c.of(connect) {
		if e.reply.status == 200 {
			return true
		}
	}
	return false
}

// form is what holds for each request alone.
func form(e event) (out []Finding) {
	if e.fault != "" {
		out = append(out, must("%s: %s", e.kind, e.fault))
	}
	if e.inURL {
		out = append(out, must("%s: a secret stands in the URL, where proxies log it", e.kind))
	}
	if e.place == plain && e.secret() {
		out = append(out, must("a secret was sent over plain http: everybody on the way can read it"))
	}
	switch e.kind {
	case login:
		if p := e.login.Password; p != "" && p != Password && p != NewPassword {
			out = append(out, must("another password was sent than the one that was given"))
		}
	case offers, connect, logout:
		if e.token != e.expected {
			out = append(out, must("%s: the Authorization header is not Bearer with the token of the newest login", e.kind))
		}
	}
	if e.agent == "" || e.agent == "Go-http-client/1.1" {
		out = append(out, should("no User-Agent of its own: nobody can tell it in the logs"))
	}
	return out
}

// keys: login and connect carry an Idempotency-Key (LG4), one for each action.
func keys(c course) (out []Finding) {
	first := make(map[string]event)
	for _, e := range c {
		if e.kind != login && e.kind != connect {
			continue
		}
		switch before, used := first[e.key]; {
		case e.key == "":
			out = append(out, must("%s has no Idempotency-Key: neither the client nor a balancer can send it again when an answer is lost", e.kind))
		case !broker.ValidKey(e.key):
			out = append(out, must("the Idempotency-Key is not 1 to 200 printable ASCII characters"))
		case used && (before.kind != e.kind || before.login != e.login || before.connect != e.connect || before.place != e.place):
			out = append(out, must("one Idempotency-Key was used for two actions"))
		case !used:
			first[e.key] = e
		}
	}
	return out
}

// manners is what makes the life of operators easier.
func manners(c course) (out []Finding) {
	for _, e := range c.of(login) {
		if e.login.Client.Name == "" {
			return append(out, should("the login does not say client.name: the broker's log cannot tell which device it was"))
		}
	}
	return out
}

// early: nobody asks before the time that Retry-After gave.
func early(c course) []Finding {
	for i := 1; i < len(c); i++ {
		before := c[i-1]
		if wait := time.Duration(before.reply.retryAfter) * time.Second; !before.done.IsZero() && c[i].at.Sub(before.done) < wait-tolerance {
			return []Finding{must("asked again %s after being told to wait for %s (Retry-After)", c[i].at.Sub(before.done).Round(10*time.Millisecond), wait)}
		}
	}
	return nil
}

// sameAgain: what is sent again is the same request with the same key.
func sameAgain(a, b event) []Finding {
	if a.login != b.login {
		return []Finding{must("what was sent again is another request than the first")}
	}
	if a.key != b.key {
		return []Finding{must("the login was sent again with another Idempotency-Key: had the first one been carried out, there would be two sessions")}
	}
	return nil
}
