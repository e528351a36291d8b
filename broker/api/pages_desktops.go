package api

import (
	"errors"
	"net/http"
	"time"

	"switchpoint/broker"
)

func (s *Server) pageDesktops(w http.ResponseWriter, r *http.Request) {
	if sessionCookie(r) == "" && s.comeAgain(w, r, "/desktops") {
		return
	}
	s.showDesktops(w, r, http.StatusOK, nil)
}

// showDesktops lists the offers, with the reason for what did not work above them.
func (s *Server) showDesktops(w http.ResponseWriter, r *http.Request, status int, reason *Reason) {
	session, offers, err := s.broker.Offers(r.Context(), sessionCookie(r), s.clientAddr(r))
	if err != nil {
		s.pageRefused(w, r, err)
		return
	}
	s.page(w, s.pages.desktops, status, view{
		Title: "Desktops", CSRF: csrfToken(w, r), Reason: reason, User: session.User, Offers: wireOffers(offers),
	})
}

// pageRefused goes back to the sign-in page: with nothing when the session has ended, else with
// the reason.
func (s *Server) pageRefused(w http.ResponseWriter, r *http.Request, err error) {
	reason := &Reason{Code: broker.CodeInternal, Text: "Something went wrong in this broker."}
	if refusal, ok := errors.AsType[*broker.Refusal](err); ok {
		reason = refusalReason(refusal)
	}
	if reason.Code == broker.CodeSessionExpired {
		setCookie(w, cookieSession, "", -1)
		http.Redirect(w, r, "/signin", http.StatusSeeOther)
		return
	}
	s.signInForm(w, r, statusOf(reason.Code), reason, "")
}

// pageConnect answers with the connection file as a download.
func (s *Server) pageConnect(w http.ResponseWriter, r *http.Request) {
	arrived := time.Now()
	if !s.formAllowed(w, r) {
		return
	}
	c, err := s.broker.Connect(r.Context(), broker.ConnectRequest{
		Token: sessionCookie(r), Offer: r.PostForm.Get("offer"), ClientAddr: s.clientAddr(r), Arrived: arrived,
	})
	if err == nil {
		w.Header().Set("Content-Type", c.File.MIME)
		w.Header().Set("Content-Disposition", `attachment; filename="`+c.File.Name+`"`)
		w.Write([]byte(c.File.Text))
		return
	}
	if refusal, ok := errors.AsType[*broker.Refusal](err); ok && refusal.Code != broker.CodeSessionExpired {
		reason := refusalReason(refusal)
		s.showDesktops(w, r, statusOf(reason.Code), reason)
		return
	}
	s.pageRefused(w, r, err)
}

func (s *Server) pageSignOut(w http.ResponseWriter, r *http.Request) {
	if !s.formAllowed(w, r) {
		return
	}
	err := s.broker.Logout(r.Context(), sessionCookie(r), s.clientAddr(r))
	if refusal, ok := errors.AsType[*broker.Refusal](err); ok && refusal.Code != broker.CodeSessionExpired {
		reason := refusalReason(refusal) // the session goes on: keep the cookie and say so
		s.showDesktops(w, r, statusOf(reason.Code), reason)
		return
	}
	setCookie(w, cookieSession, "", -1)
	http.Redirect(w, r, "/signin", http.StatusSeeOther)
}
