package api

import (
	"net/http"
	"time"

	"switchpoint/broker/agent"
	"switchpoint/healthcheck/isalive"
)

// Paths that are named in more than one place.
const (
	pathLogin   = "/api/v1/login"
	pathConnect = "/api/v1/connect"
	pathOpenAPI = "/api/v1/openapi.json"
	pathWaiting = "/waiting"
)

// routes lists every path of the server with the name under which it is counted.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for _, r := range []struct {
		pattern, name string
		handler       http.HandlerFunc
	}{
		{"POST " + pathLogin, "login", s.login},
		{"GET " + pathLogin + "/{id}", "login_outcome", s.loginOutcome},
		{"GET /api/v1/offers", "offers", s.orHome(s.offers)},
		{"POST " + pathConnect, "connect", s.orHome(s.connect)},
		{"POST /api/v1/logout", "logout", s.orHome(s.logout)},
		{"GET " + pathOpenAPI, "openapi", s.openAPI},
		{"POST " + agent.PathEnrol, "agent_enrol", s.agentEnrol},
		{"POST " + agent.PathHeartbeat, "agent_heartbeat", s.agentHeartbeat},
		{"/agent/", "unknown", s.noRoute},
		{"/api/", "unknown", s.noRoute},
		{"GET " + isalive.Path, "is_alive", s.alive},
		{"POST /RPC2", "rpc", s.rpc},
		{"GET /{$}", "page", s.pageHome},
		{"GET /signin", "page", s.pageSignIn},
		{"POST /signin", "page_signin", s.pageSignInPost},
		{"POST /newpassword", "page_newpassword", s.pageNewPasswordPost},
		{"GET " + pathWaiting, "page_waiting", s.pageWaiting},
		{"GET /desktops", "page", s.pageDesktops},
		{"POST /connect", "page_connect", s.pageConnect},
		{"POST /signout", "page_signout", s.pageSignOut},
		{"GET /style.css", "style", s.style},
	} {
		mux.Handle(r.pattern, s.observe(r.name, r.handler))
	}
	return s.secure(mux)
}

// secure sets what holds for every answer, before any handler.
func (s *Server) secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}

// observe counts and, at debug level, logs one request: route and outcome, nothing of its content.
func (s *Server) observe(name string, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		next(rec, r)
		s.metrics.request(name, rec.status, time.Since(start))
		s.log.Debug("request", "route", name, "status", rec.status, "client", s.clientAddr(r), "took", time.Since(start))
	})
}

// recorder remembers the status.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (s *Server) noRoute(w http.ResponseWriter, r *http.Request) {
	writeError(w, http.StatusNotFound, Reason{Code: codeNotFound, Text: "There is nothing at this path with this method."})
}

// alive is the page for requests that net/http accepts; the listener answers the older forms.
func (s *Server) alive(w http.ResponseWriter, r *http.Request) {
	if !isalive.Match(r.URL.RequestURI()) {
		http.Error(w, "unknown action", http.StatusNotFound)
		return
	}
	a := s.broker.Alive()
	a.Each(w.Header().Set)
	w.WriteHeader(a.Status)
	w.Write([]byte(a.Body())) // a probe that has gone away is its own answer
}
