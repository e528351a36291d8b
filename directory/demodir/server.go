package demodir

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jimlambrt/gldap"
)

const (
	// lifetime ends every connection, whatever it does: gldap sets its deadlines once, when a
	// connection begins. It is longer than our directory client keeps one.
	lifetime = time.Hour
	patience = 5 * time.Second // for the server to accept its first connection
	farewell = time.Second     // for clients to leave when Run ends
	attempts = 10              // to take a free port before somebody else does
)

// Options is what a Server needs.
type Options struct {
	Listen string      // ip:port; port 0 takes a free one
	TLS    *tls.Config // nil: plain LDAP
	Log    *slog.Logger
}

// Server is the demo directory.
type Server struct {
	addr     net.Addr
	ldap     *gldap.Server
	handlers *handlers
	ended    chan error // what gldap's Run returned
	log      *slog.Logger
}

// New starts a server that accepts connections when New returns. Run must follow: it ends what
// New began. An address that cannot be used is an error that names it.
func New(o Options) (*Server, error) {
	t, err := newTree()
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	for range attempts {
		var s *Server
		if s, err = start(o, t); !errors.Is(err, errPortTaken) {
			return s, err
		}
	}
	return nil, err
}

// errPortTaken is the port going to somebody else between our look at it and gldap's.
var errPortTaken = errors.New("port taken meanwhile")

// start finds the address by binding it, because gldap takes an address and not a listener, and
// hands it over to gldap.
func start(o Options, t *tree) (*Server, error) {
	l, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("demo directory: %w", err)
	}
	if err := l.Close(); err != nil {
		return nil, fmt.Errorf("demo directory: %w", err)
	}
	s := &Server{addr: l.Addr(), handlers: newHandlers(t), ended: make(chan error, 1), log: o.Log}
	accepted := make(chan struct{})
	once := sync.OnceFunc(func() { close(accepted) })
	s.ldap, err = gldap.NewServer(
		// Not ours: gldap logs whole packets, passwords among them, at debug level, and on a
		// panic the connection with its TLS keys.
		gldap.WithLogger(hclog.NewNullLogger()),
		gldap.WithReadTimeout(lifetime), gldap.WithWriteTimeout(lifetime),
		gldap.WithOnClose(func(id int) { s.handlers.forget(id); once() }))
	if err != nil {
		return nil, fmt.Errorf("demo directory: %w", err)
	}
	router, err := s.handlers.router()
	if err == nil {
		err = s.ldap.Router(router)
	}
	if err != nil {
		return nil, fmt.Errorf("demo directory: %w", err)
	}
	var options []gldap.Option
	if o.TLS != nil {
		options = append(options, gldap.WithTLSConfig(o.TLS))
	}
	go func() { s.ended <- s.ldap.Run(s.addr.String(), options...) }()
	if err := s.ready(accepted); err != nil {
		return nil, fmt.Errorf("demo directory: %w", err)
	}
	return s, nil
}

// ready waits until the server has served a connection, which it makes itself. gldap's Ready is
// true also when it could not listen, and a connection alone may have reached somebody else.
func (s *Server) ready(accepted <-chan struct{}) error {
	limit := time.After(patience)
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for dialed := false; ; {
		select {
		case err := <-s.ended:
			if errors.Is(err, syscall.EADDRINUSE) {
				return fmt.Errorf("%w: %w", errPortTaken, err)
			}
			return err
		case <-accepted:
			return nil
		case <-limit:
			return errors.Join(fmt.Errorf("%s accepts no connection", s.addr), s.ldap.Stop())
		case <-poll.C:
			if dialed || !s.ldap.Ready() {
				continue
			}
			if c, err := net.DialTimeout("tcp", s.addr.String(), patience); err == nil {
				_ = c.Close()
				dialed = true
			}
		}
	}
}

// Addr is the address that clients connect to.
func (s *Server) Addr() net.Addr { return s.addr }

// Run serves until ctx ends. Then it takes no connection any more and answers what still comes
// on those that are there with unavailable, which ends them. gldap cannot close a connection
// that says nothing, so Run waits a second for clients to leave; the goroutine of one that stays
// ends with that client, or after an hour.
func (s *Server) Run(ctx context.Context) error {
	select {
	case err := <-s.ended:
		return errors.Join(fmt.Errorf("demo directory: %w", err), s.stop())
	case <-ctx.Done():
	}
	if err := s.stop(); err != nil {
		return fmt.Errorf("demo directory: %w", err)
	}
	if err := <-s.ended; err != nil {
		return fmt.Errorf("demo directory: %w", err)
	}
	return nil
}

// stop closes the listener and waits a limited time for clients.
func (s *Server) stop() error {
	s.handlers.stopping.Store(true)
	stopped := make(chan error, 1)
	go func() { stopped <- s.ldap.Stop() }()
	select {
	case err := <-stopped:
		return err
	case <-time.After(farewell):
		s.log.Debug("demo directory ends while clients keep connections")
		return nil
	}
}
