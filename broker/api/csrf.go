package api

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
)

// The cookies. The __Host- prefix binds them to this host and HTTPS, so that no sibling domain
// can plant one (RFC 6265bis 4.1.3.2).
const (
	cookieSession = "__Host-session"
	cookieCSRF    = "__Host-csrf"
)

// setCookie sets a cookie for the browser's session; age -1 removes it.
func setCookie(w http.ResponseWriter, name, value string, age int) {
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: age, Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode})
}

func sessionCookie(r *http.Request) string {
	if c, err := r.Cookie(cookieSession); err == nil {
		return c.Value
	}
	return ""
}

// csrfToken is what a form must send back: derived from a random cookie that other sites can
// neither read nor plant. Any broker of the cluster can check it, and none remembers it.
func csrfToken(w http.ResponseWriter, r *http.Request) string {
	if c, err := r.Cookie(cookieCSRF); err == nil && len(c.Value) == csrfLen {
		return formToken(c.Value)
	}
	secret := make([]byte, 32)
	rand.Read(secret) // never fails (crypto/rand)
	value := base64.RawURLEncoding.EncodeToString(secret)
	setCookie(w, cookieCSRF, value, 0)
	return formToken(value)
}

const csrfLen = 43 // 32 bytes in base64

func formToken(cookie string) string {
	h := hmac.New(sha256.New, []byte(cookie))
	h.Write([]byte("switchpoint form"))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// formAllowed parses a form and checks its token. It answers the request itself when it says no.
func (s *Server) formAllowed(w http.ResponseWriter, r *http.Request) bool {
	if err := r.ParseForm(); err != nil {
		s.signInForm(w, r, http.StatusBadRequest, &Reason{Code: codeBadRequest, Text: "The form could not be read: it is broken or too large."}, "")
		return false
	}
	c, err := r.Cookie(cookieCSRF)
	if err != nil || len(c.Value) != csrfLen || !hmac.Equal([]byte(formToken(c.Value)), []byte(r.PostForm.Get("csrf"))) {
		s.signInForm(w, r, http.StatusForbidden, &Reason{
			Code: codeForm, Text: "The form has expired or came from another site. Please try again here; cookies and HTTPS are needed.",
		}, "")
		return false
	}
	return true
}
