package api

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"switchpoint/broker"
)

const (
	// cookieLogin keeps the login that waits. Its id gives the session to whoever has it, so it stands
	// in no URL and no page: in a cookie it is neither in the history nor in a log of a proxy.
	cookieLogin = "__Host-login"
	// loginCookieLife is above the deadline of a login in the queue.
	loginCookieLife = 180 // seconds

	maxLoginID     = 128
	maxWaitingUser = 256
)

// waiting is a browser's login in the queue.
type waiting struct {
	id    string    // of Broker.LoginOutcome
	since time.Time // when the user signed in
	user  string    // for the form, should one be shown again
}

func (p waiting) cookie() string {
	user := p.user
	if len(user) > maxWaitingUser {
		user = ""
	}
	return p.id + "~" + strconv.FormatInt(p.since.Unix(), 10) + "~" + base64.RawURLEncoding.EncodeToString([]byte(user))
}

// waitingCookie reads the login that this browser waits for; the zero value is none.
func waitingCookie(r *http.Request) waiting {
	c, err := r.Cookie(cookieLogin)
	if err != nil {
		return waiting{}
	}
	p, ok := parseWaiting(c.Value)
	if !ok {
		return waiting{}
	}
	return p
}

// parseWaiting reads what waiting.cookie writes. Only the browser of the cookie is shown any of it.
func parseWaiting(text string) (waiting, bool) {
	parts := strings.Split(text, "~")
	if len(parts) != 3 || !plainTicket(parts[0]) || len(parts[0]) > maxLoginID || len(parts[2]) > 2*maxWaitingUser {
		return waiting{}, false
	}
	since, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return waiting{}, false
	}
	user, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || !utf8.Valid(user) || len(user) > maxWaitingUser {
		return waiting{}, false
	}
	return waiting{id: parts[0], since: time.Unix(since, 0), user: string(user)}, true
}

// elapsed is how long the user waits, in seconds, within what a login can take.
func (p waiting) elapsed(now time.Time) int {
	return int(max(0, min(now.Sub(p.since), loginCookieLife*time.Second)).Seconds())
}

// showWaiting is the page that asks by itself how far the login is. Asking takes some seconds when
// nothing has changed (Broker.LoginOutcome), and the browser shows this page meanwhile.
func (s *Server) showWaiting(w http.ResponseWriter, p waiting, next *broker.Waiting) {
	p.id = next.ID
	setCookie(w, cookieLogin, p.cookie(), loginCookieLife)
	refresh(w, max(time.Second, next.RetryAfter), pathWaiting)
	s.page(w, s.pages.waiting, http.StatusOK, view{Title: "Waiting", Position: next.Position, Elapsed: p.elapsed(time.Now()), Onward: pathWaiting})
}

// pageWaiting is GET /waiting.
func (s *Server) pageWaiting(w http.ResponseWriter, r *http.Request) {
	p := waitingCookie(r)
	if p.id == "" {
		if !s.comeAgain(w, r, pathWaiting) {
			s.pageHome(w, r) // signed in meanwhile, or long ago
		}
		return
	}
	s.showStep(w, r, s.logins.LoginOutcome(r.Context(), p.id), p)
}
