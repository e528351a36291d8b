package api

import (
	"net/http"
	"net/url"
	"time"

	"switchpoint/broker"
)

// newPasswordForm asks for the new password. Steps are stateless: the old one is asked for again, so
// that it stands neither in the page nor in this broker.
func (s *Server) newPasswordForm(w http.ResponseWriter, r *http.Request, status int, reason *Reason, user string) {
	s.page(w, s.pages.newPassword, status, view{Title: "New password", CSRF: csrfToken(w, r), Reason: reason, User: user})
}

// pageNewPasswordPost is POST /newpassword.
func (s *Server) pageNewPasswordPost(w http.ResponseWriter, r *http.Request) {
	if !s.formAllowed(w, r) {
		return
	}
	arrived := time.Now()
	step, text := newPasswordStep(r.PostForm)
	if text != "" {
		s.newPasswordForm(w, r, http.StatusBadRequest, &Reason{Code: codeBadRequest, Text: text}, step.User)
		return
	}
	step.Arrived = arrived
	s.signIn(w, r, step)
}

// newPasswordStep reads the form; text says what is wrong with it. A wrong old password is found out
// by the directory alone.
func newPasswordStep(form url.Values) (step broker.LoginRequest, text string) {
	step = broker.LoginRequest{User: form.Get("user"), Password: form.Get("password"), NewPassword: form.Get("new")}
	switch {
	case step.NewPassword == "":
		return step, "Please choose a new password."
	case step.NewPassword != form.Get("again"):
		return step, "The two new passwords are not the same."
	case step.NewPassword == step.Password:
		return step, "The new password has to be another one than the old."
	}
	return step, ""
}
