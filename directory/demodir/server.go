package demodir

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"
)

const (
	idle     = 15 * time.Minute // as Active Directory's MaxConnIdleTime
	maxConns = 1024
)

// Options is what a Server needs.
type Options struct {
	Listen string      // ip:port; port 0 takes a free one
	TLS    *tls.Config // nil: plain LDAP
	Log    *slog.Logger
}

// Server is the demo directory.
type Server struct {
	listener net.Listener
	tree     *tree
	log      *slog.Logger

	mu    sync.Mutex
	conns map[net.Conn]struct{} // nil once Run has ended
}

// New binds the port; clients are answered once Run is called.
func New(o Options) (*Server, error) {
	t, err := newTree()
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("demo directory: %w", err)
	}
	if o.TLS != nil {
		l = tls.NewListener(l, o.TLS)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{listener: l, tree: t, log: o.Log, conns: make(map[net.Conn]struct{})}, nil
}

// Addr is the address that clients connect to.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Run serves until ctx ends, then closes every connection and waits for its goroutine.
func (s *Server) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	stop := context.AfterFunc(ctx, s.closeAll)
	defer stop()
	defer s.closeAll()
	for {
		c, err := s.listener.Accept()
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("demo directory: %w", err)
		default:
			s.log.Warn("demo directory could not accept a connection", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond): // out of descriptors, most likely
			}
			continue
		}
		if !s.keep(c) {
			_ = c.Close()
			continue
		}
		wg.Go(func() { s.serve(c) })
	}
}

func (s *Server) serve(c net.Conn) {
	defer s.drop(c)
	ses := &session{tree: s.tree}
	err := ses.serve(bufio.NewReader(c), c, func() error { return c.SetDeadline(time.Now().Add(idle)) })
	if err != nil && !errors.Is(err, net.ErrClosed) {
		s.log.Debug("demo directory closed a connection", "remote", c.RemoteAddr().String(), "err", err)
	}
}

// keep registers a connection; it refuses one too many, and any after closeAll.
func (s *Server) keep(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil || len(s.conns) >= maxConns {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *Server) drop(c net.Conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	_ = c.Close()
}

// closeAll ends the listener and every connection, for good.
func (s *Server) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.listener.Close()
	for c := range s.conns {
		_ = c.Close()
	}
	s.conns = nil
}
