package api

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"switchpoint/broker"
)

// maxTicket bounds a redirect's ticket (RD8).
const maxTicket = 2 << 10

// pageSignIn is GET /signin: the form, or with ?ticket= the end of a redirect from another cluster.
//
// A ticket in a link is a sign-in without a question, and so a way to sign a victim in as somebody
// else: the attacker gets a ticket of his own and has the victim's browser open it. Tickets are good
// once and for 60 s, and no cookie can tell a redirect from such a link: the other cluster cannot
// set one for this host, and ours, SameSite=Strict, do not come along. What tells them apart is where
// the browser says that it comes from: the clusters of one company are one site (Sec-Fetch-Site:
// same-site), which pages of others are not. So whoever comes from another site, from a mail or from
// a bookmark is asked first, by a form with our token in it.
func (s *Server) pageSignIn(w http.ResponseWriter, r *http.Request) {
	ticket, given := ticketParam(r.URL.RawQuery)
	setCookie(w, cookieLogin, "", -1) // whoever signs in anew does not wait any more
	switch {
	case !given || r.Method != http.MethodGet: // a HEAD must not use the ticket up
		s.signInForm(w, r, http.StatusOK, nil, "")
	case ticket == "":
		s.signInForm(w, r, statusOf(broker.CodeTicket), &Reason{Code: broker.CodeTicket, Text: "Please sign in with your password."}, "")
	case mustAsk(r):
		s.page(w, s.pages.continueAs, http.StatusOK, view{Title: "Continue the sign-in", CSRF: csrfToken(w, r), Ticket: ticket})
	default:
		s.signIn(w, r, broker.LoginRequest{Ticket: ticket, Arrived: time.Now()})
	}
}

// mustAsk says whether a ticket may come from somebody who is no cluster of ours. Browsers that do not
// say where they come from (before 2023) are believed.
func mustAsk(r *http.Request) bool {
	from := r.Header.Get("Sec-Fetch-Site")
	return from == "cross-site" || from == "none"
}

// ticketParam reads the ticket of a query; "" is one that cannot be one.
func ticketParam(rawQuery string) (ticket string, given bool) {
	if len(rawQuery) > maxTicket+len("ticket=") {
		return "", true
	}
	q, err := url.ParseQuery(rawQuery)
	values, given := q["ticket"]
	if err != nil || len(values) != 1 || !plainTicket(values[0]) {
		return "", given || err != nil
	}
	return values[0], true
}

// plainTicket says whether s looks like a ticket: base64 parts between dots.
func plainTicket(s string) bool {
	return s != "" && len(s) <= maxTicket && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_')
	})
}

// pageSignInPost is the form, or the yes to a ticket.
func (s *Server) pageSignInPost(w http.ResponseWriter, r *http.Request) {
	if !s.formAllowed(w, r) {
		return
	}
	arrived := time.Now() // as in login: of the whole form
	form := r.PostForm
	if ticket := form.Get("ticket"); ticket != "" {
		s.signIn(w, r, broker.LoginRequest{Ticket: ticket, Arrived: arrived})
		return
	}
	s.signIn(w, r, broker.LoginRequest{User: form.Get("user"), Password: form.Get("password"), Arrived: arrived})
}

// signIn takes a step of a login and shows what comes next.
func (s *Server) signIn(w http.ResponseWriter, r *http.Request, req broker.LoginRequest) {
	req.ClientName, req.ClientAddr = broker.ClientBrowser, s.clientAddr(r)
	s.showStep(w, r, s.logins.Login(r.Context(), req), waiting{user: req.User, since: req.Arrived})
}

// showStep shows how a step of a login ended; wait says whose it is and since when.
func (s *Server) showStep(w http.ResponseWriter, r *http.Request, res broker.LoginResult, wait waiting) {
	if res.Waiting != nil {
		s.showWaiting(w, wait, res.Waiting)
		return
	}
	if waitingCookie(r).id != "" {
		setCookie(w, cookieLogin, "", -1)
	}
	switch {
	case res.Refusal != nil:
		s.signInForm(w, r, LoginStatus(res.Refusal.Code), refusalReason(res.Refusal), wait.user)
	case res.Prompt != nil:
		s.newPasswordForm(w, r, http.StatusOK, &Reason{Code: res.Prompt.Code, Text: res.Prompt.Text}, wait.user)
	case res.Redirect != "":
		// RD8: the ticket must not reach anybody else in a Referer header (secure sets no-referrer).
		http.Redirect(w, r, signInAt(res.Redirect, res.Ticket), http.StatusSeeOther)
	default:
		setCookie(w, cookieSession, res.Token, 0)
		http.Redirect(w, r, "/desktops", http.StatusSeeOther)
	}
}

// signInAt is where a browser goes on with a ticket of its home cluster; without one it is the
// cluster's own address.
func signInAt(home, ticket string) string {
	u, err := url.Parse(home)
	if err != nil || ticket == "" {
		return home
	}
	u = u.JoinPath("signin")
	u.RawQuery = url.Values{"ticket": {ticket}}.Encode()
	return u.String()
}
