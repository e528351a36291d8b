package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// gate is what stands between a TCP listener and the console.
type gate struct {
	token    [sha256.Size]byte
	sessions sessions
	failures failures
}

func newGate(token string) *gate { return &gate{token: sha256.Sum256([]byte(token))} }

// opens says whether given is the token. Hashing first makes the comparison independent of the length.
func (g *gate) opens(given string) bool {
	got := sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(got[:], g.token[:]) == 1
}

// inside lets through who is signed in. A page that refreshes itself does not keep a session in use:
// nobody may be sitting before it.
func (c *console) inside(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.gate == nil || c.gate.sessions.check(cookie(r, cookieSession), time.Now(), !refreshing(r.URL)) {
			next(w, r)
			return
		}
		if r.Method == http.MethodGet {
			http.Redirect(w, r, consolePath+"signin?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
			return
		}
		c.signInForm(w, r, http.StatusForbidden, "", "Your session has ended, and nothing was changed. Sign in and try again.")
	})
}

// signInView is what the sign-in form shows.
type signInView struct{ Next, Problem string }

func (c *console) signInPage(w http.ResponseWriter, r *http.Request) {
	c.signInForm(w, r, http.StatusOK, r.URL.Query().Get("next"), "")
}

func (c *console) signInForm(w http.ResponseWriter, r *http.Request, status int, next, problem string) {
	f := frame{Title: "Sign in", Node: c.node, CSRF: formToken(w, r), Data: signInView{Next: safeNext(next), Problem: problem}}
	c.write(w, status, "signin.html", f)
}

// signIn takes the token once and gives the browser a session.
func (c *console) signIn(w http.ResponseWriter, r *http.Request) {
	now, from := time.Now(), remoteAddr(r)
	if err := formAllowed(r); err != nil {
		c.signInForm(w, r, statusOf(err), "", err.Error())
		return
	}
	next := safeNext(r.PostForm.Get("next"))
	given := strings.TrimSpace(r.PostForm.Get("token"))
	ok, wait := c.gate.failures.try(from, now, func() bool { return c.gate.opens(given) })
	switch {
	case wait > 0:
		w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
		c.signInForm(w, r, http.StatusTooManyRequests, next, "Too many wrong tokens came from your address. Wait a minute and try again.")
		return
	case !ok:
		c.log.Warn("console sign-in refused", "client", from)
		c.signInForm(w, r, http.StatusUnauthorized, next, "That is not the token of this node.")
		return
	}
	c.log.Info("console sign-in", "client", from)
	c.gate.sessions.end(cookie(r, cookieSession))
	setCookie(w, cookieForm, newSecret(), 0) // what was known before the sign-in is worth nothing after it
	setCookie(w, cookieSession, c.gate.sessions.begin(now), 0)
	http.Redirect(w, r, next, http.StatusSeeOther) //nolint:gosec // G710: safeNext leaves paths of this console alone
}

func (c *console) signOut(w http.ResponseWriter, r *http.Request) {
	if err := formAllowed(r); err != nil {
		c.fail(w, r, nil, err)
		return
	}
	c.gate.sessions.end(cookie(r, cookieSession))
	setCookie(w, cookieSession, "", -1)
	setCookie(w, cookieForm, "", -1)
	http.Redirect(w, r, consolePath+"signin", http.StatusSeeOther)
}

// safeNext is where to go after the sign-in: a page of this console, whatever the address says.
func safeNext(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(u.Path, consolePath) ||
		strings.ContainsAny(next, "\\\r\n\t") || strings.Contains(u.Path, "..") || u.Path == consolePath+"signin" {
		return consolePath
	}
	return u.RequestURI()
}

// by names who does something, for the log of the cluster.
func (c *console) by(r *http.Request) string {
	if c.gate == nil {
		return "the console on the admin socket"
	}
	return "the console at " + remoteAddr(r).String()
}

func remoteAddr(r *http.Request) netip.Addr {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap()
}

// loopbackHost says whether a request was addressed to this machine by a name that no other site
// can have. A browser may reach the socket through a forwarded port, and then a site whose name was
// turned to 127.0.0.1 must not.
func loopbackHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && a.IsLoopback()
}
