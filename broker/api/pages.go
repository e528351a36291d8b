package api

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"switchpoint/broker"
)

//go:embed web
var web embed.FS

// pages are the compiled templates.
type pages struct {
	signIn, desktops *template.Template
	css              []byte
}

func newPages() (*pages, error) {
	p := &pages{}
	var err error
	if p.signIn, err = template.ParseFS(web, "web/layout.html", "web/signin.html"); err != nil {
		return nil, fmt.Errorf("sign-in page: %w", err)
	}
	if p.desktops, err = template.ParseFS(web, "web/layout.html", "web/desktops.html"); err != nil {
		return nil, fmt.Errorf("desktops page: %w", err)
	}
	if p.css, err = web.ReadFile("web/style.css"); err != nil {
		return nil, fmt.Errorf("style: %w", err)
	}
	return p, nil
}

// view is what the templates show.
type view struct {
	Title  string
	CSRF   string
	Broker Broker
	Reason *Reason
	User   string
	Offers []Offer
}

// page writes a page. The policy allows the style sheet and forms to this broker and to the
// clusters that a sign-in may be sent to (browsers apply form-action to redirects as well).
func (s *Server) page(w http.ResponseWriter, t *template.Template, status int, v view) {
	v.Broker = s.self()
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "layout.html", v); err != nil {
		s.log.Error("page failed", "error", err)
		http.Error(w, "Something went wrong in this broker.", http.StatusInternalServerError)
		return
	}
	actions := strings.Join(append([]string{"'self'"}, s.broker.RedirectOrigins()...), " ")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action "+actions)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(b.Bytes()) // a browser that has gone away cannot be told
}

func (s *Server) style(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "max-age=300")
	w.Write(s.pages.css)
}

func (s *Server) pageHome(w http.ResponseWriter, r *http.Request) {
	if sessionCookie(r) != "" {
		http.Redirect(w, r, "/desktops", http.StatusSeeOther)
		return
	}
	http.Redirect(w, r, "/signin", http.StatusSeeOther)
}

func (s *Server) pageSignIn(w http.ResponseWriter, r *http.Request) {
	s.page(w, s.pages.signIn, http.StatusOK, view{Title: "Sign in", CSRF: csrfToken(w, r)})
}

func (s *Server) pageSignInPost(w http.ResponseWriter, r *http.Request) {
	if !s.formAllowed(w, r) {
		return
	}
	arrived := time.Now() // as in login: of the whole form
	user := r.PostForm.Get("user")
	res := s.broker.Login(r.Context(), broker.LoginRequest{
		User: user, Password: r.PostForm.Get("password"), ClientName: "browser", ClientAddr: s.clientAddr(r), Arrived: arrived,
	})
	switch {
	case res.Refusal != nil:
		reason := reasonOf(res.Refusal)
		retryAfter(w, reason.RetryAfter)
		s.page(w, s.pages.signIn, loginStatus(reason.Code), view{Title: "Sign in", CSRF: csrfToken(w, r), Reason: &reason, User: user})
	case res.Redirect != "":
		http.Redirect(w, r, res.Redirect, http.StatusSeeOther)
	default:
		setCookie(w, cookieSession, res.Token, 0)
		http.Redirect(w, r, "/desktops", http.StatusSeeOther)
	}
}

func (s *Server) pageDesktops(w http.ResponseWriter, r *http.Request) {
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
	reason := Reason{Code: broker.CodeInternal, Text: "Something went wrong in this broker."}
	if refusal, ok := errors.AsType[*broker.Refusal](err); ok {
		reason = reasonOf(refusal)
	}
	if reason.Code == broker.CodeSessionExpired {
		setCookie(w, cookieSession, "", -1)
		http.Redirect(w, r, "/signin", http.StatusSeeOther)
		return
	}
	retryAfter(w, reason.RetryAfter)
	s.page(w, s.pages.signIn, statusOf(reason.Code), view{Title: "Sign in", CSRF: csrfToken(w, r), Reason: &reason})
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
		reason := reasonOf(refusal)
		retryAfter(w, reason.RetryAfter)
		s.showDesktops(w, r, statusOf(reason.Code), &reason)
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
		reason := reasonOf(refusal) // the session goes on: keep the cookie and say so
		s.showDesktops(w, r, statusOf(reason.Code), &reason)
		return
	}
	setCookie(w, cookieSession, "", -1)
	http.Redirect(w, r, "/signin", http.StatusSeeOther)
}
