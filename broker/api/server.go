package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"switchpoint/broker"
	"switchpoint/healthcheck/isalive"
)

// Bounds of a connection.
const (
	headerTimeout = 10 * time.Second
	readTimeout   = 30 * time.Second
	writeTimeout  = 120 * time.Second // above the longest wait and work of one login
	idleTimeout   = 120 * time.Second
	drainTimeout  = 20 * time.Second
	maxHeader     = 16 << 10
	maxBody       = 64 << 10
)

// Options is what a Server needs.
type Options struct {
	Broker *broker.Broker
	Listen []string // ip:port
	// Cert and Key are PEM files; with them the listeners speak HTTPS. They are read again when
	// they change.
	Cert, Key string
	// TrustedProxies lists the prefixes whose X-Forwarded-For is believed (LG6).
	TrustedProxies []string
	// AdminToken is the bearer token that the XML-RPC methods about brokers ask for (SE1); empty:
	// nobody may call them.
	AdminToken string
	Log        *slog.Logger
	Metrics    prometheus.Registerer
}

// logins is the part of the broker that signs users in. Tests put scripts in its place: what a busy
// cluster, an expired password and a second cluster answer is to be shown without them, too.
type logins interface {
	Login(ctx context.Context, req broker.LoginRequest) broker.LoginResult
	LoginOutcome(ctx context.Context, id string) broker.LoginResult
}

// Server serves one broker on all of its addresses.
type Server struct {
	broker     *broker.Broker
	logins     logins
	log        *slog.Logger
	metrics    *metrics
	proxies    []netip.Prefix
	pages      *pages
	tls        bool
	adminToken string
	homes      homes
	listeners  []net.Listener
	http       *http.Server
}

// New binds all addresses and reads the certificate; nothing is served before Run.
func New(o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Broker == nil {
		return nil, errors.New("broker api: Options.Broker is missing")
	}
	s := &Server{broker: o.Broker, logins: o.Broker, log: o.Log, tls: o.Cert != "", adminToken: o.AdminToken}
	for _, p := range o.TrustedProxies {
		prefix, err := broker.ParsePrefix(p)
		if err != nil {
			return nil, fmt.Errorf("broker api: trusted_proxies: %w", err)
		}
		s.proxies = append(s.proxies, prefix)
	}
	var err error
	if s.metrics, err = newMetrics(o.Metrics); err != nil {
		return nil, fmt.Errorf("broker api: %w", err)
	}
	if s.pages, err = newPages(); err != nil {
		return nil, fmt.Errorf("broker api: %w", err)
	}
	s.http = &http.Server{
		Handler: s.routes(), ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
	}
	if err := s.bind(o); err != nil {
		return nil, fmt.Errorf("broker api: %w", err)
	}
	return s, nil
}

// bind opens the listeners, or none.
func (s *Server) bind(o Options) error {
	var config *tls.Config
	if s.tls {
		pair, err := newKeyPair(o.Cert, o.Key, o.Log)
		if err != nil {
			return err
		}
		// Only HTTP/1.1 is offered: the is_alive peek hides the TLS connection from net/http.
		config = &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, GetCertificate: pair.get}
	}
	for _, address := range o.Listen {
		l, err := net.Listen("tcp", address)
		if err != nil {
			s.close()
			return fmt.Errorf("listen on %s: %w", address, err)
		}
		if config != nil {
			l = tls.NewListener(l, config)
		}
		s.listeners = append(s.listeners, isalive.Listener(l, func(net.Conn) isalive.Answer { return s.broker.Alive() }))
	}
	return nil
}

func (s *Server) close() {
	for _, l := range s.listeners {
		l.Close()
	}
}

// Addr is the first address that is listened on.
func (s *Server) Addr() net.Addr { return s.listeners[0].Addr() }

// Addrs are all of them, in the order of Options.Listen.
func (s *Server) Addrs() []net.Addr {
	out := make([]net.Addr, len(s.listeners))
	for i, l := range s.listeners {
		out[i] = l.Addr()
	}
	return out
}

// Run serves until ctx ends, then lets the requests under way finish.
func (s *Server) Run(ctx context.Context) error {
	defer s.homes.close()
	g, ctx := errgroup.WithContext(ctx)
	for _, l := range s.listeners {
		g.Go(func() error {
			if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("broker api: serve %s: %w", l.Addr(), err)
			}
			return nil
		})
	}
	g.Go(func() error {
		<-ctx.Done()
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		if err := s.http.Shutdown(drain); err != nil {
			s.log.Warn("requests were still under way at the end of the drain", "after", drainTimeout)
			return s.http.Close()
		}
		return nil
	})
	return g.Wait()
}
