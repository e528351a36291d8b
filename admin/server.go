package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"switchpoint/broker"
)

// SocketName is the file name of the admin socket in the state directory.
const SocketName = "admin.sock"

// Config is the [admin] section: the TCP listener beside the Unix socket.
type Config struct {
	Listen    string // ip:port; empty: socket only
	Cert, Key string // PEM files, required with Listen
	TokenFile string // file with the bearer token, required with Listen
}

// Options is what the admin endpoints need.
type Options struct {
	Socket  string // path of the Unix socket
	Config  Config
	Log     *slog.Logger
	Metrics prometheus.Gatherer
	// Ready returns nil when the process serves, else why it does not.
	Ready func() error
	// Routes are the operations, as "METHOD /path" of net/http.ServeMux below /admin/v1/.
	Routes map[string]Operation
	Name   string // of the node, for the console
	Pages  []Page // of the console; none: there is no console
	// Notice is what every page of the console says first, or ""; nil: nothing.
	Notice func() string
}

// Server answers on the socket and, if configured, on TCP.
type Server struct {
	listeners []net.Listener
	servers   []*http.Server
	tcp       net.Addr
}

// New binds the listeners; nothing is answered before Run.
func New(o Options) (*Server, error) {
	s := &Server{}
	handler := routes(o)
	open, err := withConsole(o, nil, handler)
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	socket, err := listenSocket(o.Socket)
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	s.add(socket, open, o.Log)
	if o.Config.Listen == "" {
		return s, nil
	}
	tcp, token, err := listenTCP(o.Config)
	if err != nil {
		_ = socket.Close()
		return nil, fmt.Errorf("admin listener %s: %w", o.Config.Listen, err)
	}
	gated, err := withConsole(o, newGate(token), requireToken(token, handler))
	if err != nil {
		_ = socket.Close()
		_ = tcp.Close()
		return nil, fmt.Errorf("admin: %w", err)
	}
	s.tcp = tcp.Addr()
	s.add(tcp, gated, o.Log)
	return s, nil
}

// withConsole puts the console beside the rest. It has a door of its own (g), so what guards the
// rest need not make an exception for it.
func withConsole(o Options, g *gate, rest http.Handler) (http.Handler, error) {
	if len(o.Pages) == 0 {
		return rest, nil
	}
	c, err := newConsole(o, g)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle(consolePath, c.handler())
	mux.Handle("/", rest)
	return mux, nil
}

func (s *Server) add(l net.Listener, h http.Handler, log *slog.Logger) {
	s.listeners = append(s.listeners, l)
	s.servers = append(s.servers, &http.Server{
		Handler:           h,
		ConnContext:       broker.FromConnection, // for the log rows of what an operator changes
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	})
}

// Addr is the TCP address, or nil when only the socket is served.
func (s *Server) Addr() net.Addr { return s.tcp }

// Run serves until ctx ends, then lets requests under way finish for up to two seconds.
func (s *Server) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for i, srv := range s.servers {
		g.Go(func() error {
			if err := srv.Serve(s.listeners[i]); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("admin: serve: %w", err)
			}
			return nil
		})
		g.Go(func() error {
			<-ctx.Done()
			stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			if srv.Shutdown(stop) != nil {
				return srv.Close()
			}
			return nil
		})
	}
	return g.Wait()
}

// Close releases the listeners of a server that never ran.
func (s *Server) Close() {
	for _, l := range s.listeners {
		_ = l.Close()
	}
}

// listenSocket binds path with mode 0600. The file of a process that died is replaced; one on
// which somebody answers belongs to a living process.
func listenSocket(path string) (net.Listener, error) {
	if len(path) > 100 {
		return nil, fmt.Errorf("path %s has %d bytes, a Unix socket allows about 100; choose a shorter [node] state_dir", path, len(path))
	}
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = conn.Close()
		return nil, fmt.Errorf("%s is in use by a running switchpoint; stop it or give this node its own [node] state_dir", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// ReadToken reads the bearer token out of its file.
func ReadToken(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read token file: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if len(token) < 16 {
		return "", fmt.Errorf("token file %s holds fewer than 16 characters; write a random token into it", path)
	}
	return token, nil
}

func listenTCP(c Config) (net.Listener, string, error) {
	token, err := ReadToken(c.TokenFile)
	if err != nil {
		return nil, "", err
	}
	cert, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return nil, "", fmt.Errorf("load certificate: %w", err)
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, "", err
	}
	return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}), token, nil
}
