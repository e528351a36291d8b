package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/pprof"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxBody bounds a request body: a whole broker setup fits many times over.
const maxBody = 16 << 20

// Request is what an operation gets: the query values, the path values and the body.
type Request struct {
	Query url.Values
	Path  func(name string) string
	Body  []byte
}

// Operation serves one admin route; what it returns is sent as JSON. The status of an
// error is that of statusOf, as in the console.
type Operation func(ctx context.Context, r Request) (any, error)

// Noted is an answer with a line for whoever asked, such as what it was taken from; it is sent in the
// header NoteHeader.
type Noted struct {
	Value any
	Note  string
}

// NoteHeader is the header of a Noted answer.
const NoteHeader = "X-Switchpoint-Note"

// Error is an admin answer that is no success.
type Error struct {
	Status int    `json:"-"`
	Text   string `json:"error"`
}

// Error gives the text.
func (e *Error) Error() string { return e.Text }

func routes(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := o.Ready(); err != nil {
			writeText(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		writeText(w, http.StatusOK, "ready")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	for pattern, op := range o.Routes {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" /admin/v1/"+strings.TrimPrefix(path, "/"), serve(op))
	}
	return mux
}

func serve(op Operation) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			writeJSON(w, http.StatusRequestEntityTooLarge, &Error{Text: "the body is larger than 16 MiB"})
			return
		}
		res, err := op(r.Context(), Request{Query: r.URL.Query(), Path: r.PathValue, Body: body})
		var refused *Error
		switch {
		case errors.As(err, &refused):
			writeJSON(w, refused.Status, refused)
		case err != nil:
			writeJSON(w, statusOf(err), &Error{Text: err.Error()})
		default:
			if noted, ok := res.(Noted); ok {
				if res = noted.Value; noted.Note != "" {
					w.Header().Set(NoteHeader, noted.Note)
				}
			}
			writeJSON(w, http.StatusOK, res)
		}
	}
}

// anonymousBody is how long a body that nobody asked for may take, so that a stranger cannot hold
// connections by announcing one. Who has the token may take its time.
const anonymousBody = time.Second

// requireToken lets /healthz and /readyz through and asks for the bearer token else. Hashing
// first makes the comparison independent of the length.
func requireToken(token string, next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		limit := func() { _ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(anonymousBody)) }
		if r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
			limit()
			next.ServeHTTP(w, r)
			return
		}
		given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		got := sha256.Sum256([]byte(given))
		if !ok || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			limit()
			w.Header().Set("WWW-Authenticate", "Bearer")
			writeJSON(w, http.StatusUnauthorized, &Error{Text: "a bearer token is needed"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n")
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v)
}
