package conformance

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Bounds and defaults.
const (
	defaultSlow       = 12 * time.Second
	defaultRetryAfter = 2
	maxBody           = 64 << 10
	maxStrays         = 20
	maxCourse         = 200 // requests of one scenario
	// newCourse: after so much silence a login starts the scenario anew.
	newCourse = 30 * time.Second
)

// Options is what a Server needs.
type Options struct {
	// Listen is host:port of the place where clients start; the other two take the next ports, or free
	// ones where the port is 0.
	Listen string
	// Name is the host in the URLs; default that of Listen.
	Name string
	// Cert and Key are PEM files; empty: a certificate for Name that CA vouches for.
	Cert, Key string
	// Only are the scenarios to play; empty: all.
	Only []string
	// Slow is how long the slow answer takes, default 12 s; RetryAfter what clients are told to wait, in
	// seconds, default 2.
	Slow       time.Duration
	RetryAfter int
	Log        *slog.Logger
}

// Server plays the broker.
type Server struct {
	log       *slog.Logger
	settings  settings
	scenarios []scenario
	listeners [3]net.Listener
	http      [3]*http.Server
	ca        []byte

	mu     sync.Mutex // protects all that follows
	plays  map[string]*play
	owners map[string]owner // tokens, tickets and ids that were handed out
	strays []string
}

// play is the newest course of a scenario.
type play struct {
	scenario *scenario
	course   course
	token    string // the newest
}

// owner is whom a secret was handed out to.
type owner struct {
	play *play
	kind kind
}

// New binds the addresses.
func New(o Options) (*Server, error) {
	s := &Server{
		log: cmp.Or(o.Log, slog.New(slog.DiscardHandler)), plays: make(map[string]*play), owners: make(map[string]owner),
		settings: settings{slow: cmp.Or(o.Slow, defaultSlow), retryAfter: cmp.Or(o.RetryAfter, defaultRetryAfter)},
	}
	for _, c := range allScenarios() {
		if len(o.Only) == 0 || slices.Contains(o.Only, c.name) {
			s.scenarios = append(s.scenarios, c)
		}
	}
	for _, name := range o.Only {
		if !slices.Contains(names(s.scenarios), name) {
			return nil, fmt.Errorf("conformance: there is no scenario %q; there are %s", name, strings.Join(names(allScenarios()), ", "))
		}
	}
	for i := range s.scenarios {
		s.plays[s.scenarios[i].name] = &play{scenario: &s.scenarios[i]}
	}
	if err := s.bind(o); err != nil {
		return nil, fmt.Errorf("conformance: %w", err)
	}
	return s, nil
}

// bind opens the three listeners, or none.
func (s *Server) bind(o Options) error {
	host, port, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	first, err := strconv.ParseUint(port, 10, 16)
	if err != nil || first > 65533 {
		return fmt.Errorf("listen: %q is no port with two more behind it", port)
	}
	name := cmp.Or(o.Name, host)
	if a, err := netip.ParseAddr(name); name == "" || err == nil && a.IsUnspecified() {
		return errors.New("listen: give a name for clients to reach this machine by (Options.Name), as it listens on all addresses")
	}
	certificate, ca, err := certificateFor(name, o.Cert, o.Key)
	if err != nil {
		return err
	}
	s.ca = ca
	var urls [3]string
	for i := range s.listeners {
		p := place(i)
		at := net.JoinHostPort(host, strconv.FormatUint(next(first, i), 10))
		l, err := net.Listen("tcp", at)
		if err != nil {
			s.Close()
			return fmt.Errorf("listen on %s: %w", at, err)
		}
		_, port, _ := net.SplitHostPort(l.Addr().String()) // of a listener: it has one
		urls[i] = "https://" + net.JoinHostPort(name, port)
		if p == plain {
			urls[i] = "http://" + net.JoinHostPort(name, port)
		} else {
			l = tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, Certificates: []tls.Certificate{certificate}})
		}
		s.listeners[i] = l
		s.http[i] = &http.Server{
			Handler: s.handler(p), ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
			ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		}
	}
	s.settings.here, s.settings.away, s.settings.plain = urls[here], urls[away], urls[plain]
	return nil
}

// next is the port of the i-th listener.
func next(first uint64, i int) uint64 {
	if first == 0 {
		return 0
	}
	return first + uint64(i)
}

// Close closes the addresses of a server that is not run.
func (s *Server) Close() {
	for _, l := range s.listeners {
		if l != nil {
			_ = l.Close()
		}
	}
}

// Addr is where clients start.
func (s *Server) Addr() net.Addr { return s.listeners[here].Addr() }

// URL is what clients are given to start with.
func (s *Server) URL() string { return s.settings.here }

// CA is the certificate, as PEM, that clients have to trust; nil when Options named one of their own.
func (s *Server) CA() []byte { return s.ca }

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for i, h := range s.http {
		g.Go(func() error {
			if err := h.Serve(s.listeners[i]); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("conformance: serve %s: %w", s.listeners[i].Addr(), err)
			}
			return nil
		})
	}
	g.Go(func() error {
		<-ctx.Done()
		var failures []error
		for _, h := range s.http {
			failures = append(failures, h.Close())
		}
		return errors.Join(failures...)
	})
	return g.Wait()
}

// Scenario is one for clients to play.
type Scenario struct {
	Name string `json:"name"` // the user to sign in as
	What string `json:"what"`
	// Succeeds says whether the client ends with a desktop, May that it need not.
	Succeeds bool `json:"succeeds"`
	May      bool `json:"may,omitempty"`
}

// Scenarios lists them in order.
func (s *Server) Scenarios() []Scenario {
	var out []Scenario
	for _, c := range s.scenarios {
		out = append(out, Scenario{Name: c.name, What: c.what, Succeeds: c.ends, May: c.may})
	}
	return out
}

// Report judges what has happened so far.
func (s *Server) Report() Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Report{Strays: slices.Clone(s.strays)}
	for i := range s.scenarios {
		c := &s.scenarios[i]
		course := s.plays[c.name].course
		r := Result{Scenario: c.name, What: c.what, Result: Passed, Requests: len(course), Findings: c.findings(course)}
		switch {
		case len(course) == 0:
			r.Result = NotPlayed
		case slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Level == Must }):
			r.Result = Failed
		}
		out.Results = append(out.Results, r)
	}
	return out
}

// Quiet says whether every scenario was played and nothing has come for that long.
func (s *Server) Quiet(d time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.plays {
		if n := len(p.course); n == 0 || p.course[n-1].done.IsZero() || time.Since(p.course[n-1].done) < d {
			return false
		}
	}
	return true
}
