package admin

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"time"
	"unicode/utf8"
)

// The cookies. The __Host- prefix binds them to this host and HTTPS, so that no sibling domain can
// plant one (RFC 6265bis 4.1.3.2). Browsers do not tell the ports of a host apart, so the names are
// not those of the broker's own pages.
const (
	cookieSession = "__Host-console"
	cookieForm    = "__Host-console-form"
	cookieNote    = "__Host-console-note"
	cookieColumns = "__Host-console-columns"
)

const (
	secretLen  = 43 // 32 bytes in base64
	maxNote    = 600
	choiceLife = 365 * 24 * time.Hour // of a choice such as the columns of a table
)

// setCookie sets a cookie for life, with 0 until the browser ends; less removes it.
func setCookie(w http.ResponseWriter, name, value string, life time.Duration) {
	age := int(life / time.Second)
	if life < 0 {
		age = -1
	}
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: age, Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode})
}

func cookie(r *http.Request, name string) string {
	if c, err := r.Cookie(name); err == nil {
		return c.Value
	}
	return ""
}

func newSecret() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}

// formToken is what a form must send back: derived from a random cookie that other sites can
// neither read nor plant, and from the session, so that it ends with it.
func formToken(w http.ResponseWriter, r *http.Request) string {
	secret := cookie(r, cookieForm)
	if len(secret) != secretLen {
		secret = newSecret()
		setCookie(w, cookieForm, secret, 0)
	}
	return deriveToken(secret, cookie(r, cookieSession))
}

func deriveToken(secret, session string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte("switchpoint console form\x00" + session))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// formAllowed parses a form and checks its token.
func formAllowed(r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return &Error{Status: http.StatusBadRequest, Text: "The form could not be read: it is broken or too large."}
	}
	secret := cookie(r, cookieForm)
	want := deriveToken(secret, cookie(r, cookieSession))
	if len(secret) != secretLen || !hmac.Equal([]byte(want), []byte(r.PostForm.Get("csrf"))) {
		return &Error{Status: http.StatusForbidden, Text: "This form has expired or came from another site, and nothing was changed. Open the page again; cookies are needed."}
	}
	return nil
}

// leaveNote keeps a line for the next page that is shown.
func leaveNote(w http.ResponseWriter, text string) {
	for len(text) > maxNote {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	setCookie(w, cookieNote, base64.RawURLEncoding.EncodeToString([]byte(text)), time.Minute)
}

// takeNote returns the line that the last form left, once.
func takeNote(w http.ResponseWriter, r *http.Request) string {
	value := cookie(r, cookieNote)
	if value == "" {
		return ""
	}
	setCookie(w, cookieNote, "", -1)
	text, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil || len(text) > maxNote || !utf8.Valid(text) {
		return ""
	}
	return string(text)
}
