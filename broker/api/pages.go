package api

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"
)

//go:embed web
var web embed.FS

// pages are the compiled templates.
type pages struct {
	signIn, continueAs, waiting, newPassword, desktops, onward *template.Template
	css                                                        []byte
}

func newPages() (*pages, error) {
	p := &pages{}
	for file, t := range map[string]**template.Template{
		"signin": &p.signIn, "ticket": &p.continueAs, "waiting": &p.waiting, "newpassword": &p.newPassword, "desktops": &p.desktops, "onward": &p.onward,
	} {
		var err error
		if *t, err = template.ParseFS(web, "web/layout.html", "web/"+file+".html"); err != nil {
			return nil, fmt.Errorf("page %s: %w", file, err)
		}
	}
	var err error
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
	// Ticket is one that waits for the user's yes.
	Ticket string
	// Position and Elapsed (in seconds) are those of a login in the queue; Onward is where the page
	// leads to by itself.
	Position, Elapsed int
	Onward            string
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
	if v.Reason != nil {
		retryAfter(w, v.Reason.RetryAfter)
	}
	w.WriteHeader(status)
	w.Write(b.Bytes()) // a browser that has gone away cannot be told
}

// refresh makes the browser go on by itself, without a script.
func refresh(w http.ResponseWriter, after time.Duration, to string) {
	w.Header().Set("Refresh", strconv.Itoa(int(after.Seconds()))+"; url="+to)
}

func (s *Server) style(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "max-age=300")
	w.Write(s.pages.css)
}

func (s *Server) pageHome(w http.ResponseWriter, r *http.Request) {
	to := "/signin"
	switch {
	case sessionCookie(r) != "":
		to = "/desktops"
	case waitingCookie(r).id != "":
		to = pathWaiting
	case s.comeAgain(w, r, "/"):
		return
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// comeAgain answers a request that came by a link of another site, such as the company's portal.
// Browsers send no SameSite=Strict cookie with it, so a user who has signed in would look like a
// stranger: the page that it answers with asks again, from here. It says whether it has answered.
func (s *Server) comeAgain(w http.ResponseWriter, r *http.Request, to string) bool {
	if r.Header.Get("Sec-Fetch-Site") != "cross-site" {
		return false
	}
	refresh(w, 0, to)
	s.page(w, s.pages.onward, http.StatusOK, view{Title: "One moment", Onward: to})
	return true
}

// signInForm shows the form, with the reason for what did not work above it.
func (s *Server) signInForm(w http.ResponseWriter, r *http.Request, status int, reason *Reason, user string) {
	s.page(w, s.pages.signIn, status, view{Title: "Sign in", CSRF: csrfToken(w, r), Reason: reason, User: user})
}
