package peer

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// shutdownGrace is how long requests under way may take once Run is told to end.
const shutdownGrace = 5 * time.Second

// Handler answers one method. from is the peer that asks, as the trust list has it; the answer
// may have 1 MiB. ctx ends when the caller has gone.
type Handler func(ctx context.Context, from Trust, body []byte) ([]byte, error)

// Options is what a Node needs.
type Options struct {
	Config   Config
	Identity Identity
	Name     string                // of this node, for logs
	Log      *slog.Logger          // nil discards
	Metrics  prometheus.Registerer // nil registers nothing
}

// Node is this process among its peers. It may be used by many goroutines.
type Node struct {
	identity Identity
	log      *slog.Logger
	metrics  *metrics
	cert     tls.Certificate
	listener net.Listener // nil: this process only asks
	handlers map[string]Handler

	table atomic.Pointer[Table]

	mu      sync.Mutex
	clients map[key]*client // by the key and address that they were made for
	calls   sync.WaitGroup
	stopped context.Context // ends when Run does
	stop    context.CancelFunc
}

// New checks the configuration and binds its port. Peers are answered once Run is called.
func New(o Options) (*Node, error) {
	table, err := Compile(o.Config, o.Identity.PublicKey())
	if err != nil {
		return nil, err
	}
	n := &Node{identity: o.Identity, log: o.Log, handlers: make(map[string]Handler), clients: make(map[key]*client)}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	if n.identity.private == nil {
		return nil, errors.New("peer: no identity; use LoadIdentity")
	}
	if n.cert, err = n.identity.certificate(o.Name); err != nil {
		return nil, err
	}
	if n.metrics, err = newMetrics(o.Metrics); err != nil {
		return nil, fmt.Errorf("peer: register metrics: %w", err)
	}
	n.table.Store(table)
	if o.Config.Listen != "" {
		if n.listener, err = net.Listen("tcp", o.Config.Listen); err != nil {
			return nil, fmt.Errorf("peer: %w", err)
		}
	}
	n.stopped, n.stop = context.WithCancel(context.Background())
	return n, nil
}

// Addr is the address of the listener, nil without one.
func (n *Node) Addr() net.Addr {
	if n.listener == nil {
		return nil
	}
	return n.listener.Addr()
}

// Handle registers the handler of a method: a word of a-z, 0-9, ".", "_" and "-". It must be
// called before Run, once a method; a second registration is a fault of the program and panics.
func (n *Node) Handle(method string, h Handler) {
	if !validMethod(method) || n.handlers[method] != nil {
		panic(fmt.Sprintf("peer: method %q is not a word or registered twice", method))
	}
	n.handlers[method] = h
}

func validMethod(method string) bool {
	for _, r := range method {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '.' && r != '_' && r != '-' {
			return false
		}
	}
	return method != "" && method != "." && method != ".." && len(method) <= 64
}

// SetTable replaces the trust list. Who is no longer in it is refused from the next request on.
// The address that the node listens on does not change.
func (n *Node) SetTable(t *Table) {
	n.table.Store(t)
	n.mu.Lock()
	defer n.mu.Unlock()
	for k, c := range n.clients {
		if trust, ok := t.byKey[k]; !ok || trust.Address != c.address {
			c.http.CloseIdleConnections()
			delete(n.clients, k)
		}
	}
}

// Peers gives the names of the trusted peers of a cluster that can be called, in their order.
func (n *Node) Peers(cluster string) []string { return n.table.Load().Peers(cluster) }

// Run answers peers until ctx ends; then it ends the calls under way and closes everything. A
// Node runs once.
func (n *Node) Run(ctx context.Context) error {
	defer n.close()
	if n.listener == nil {
		<-ctx.Done()
		return nil
	}
	server := n.server()
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(tls.NewListener(n.listener, n.serverTLS())) }()
	select {
	case err := <-failed:
		return fmt.Errorf("peer: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), shutdownGrace)
	defer cancel()
	err := server.Shutdown(grace)
	if err != nil {
		err = server.Close()
	}
	if serveErr := <-failed; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	if err != nil {
		return fmt.Errorf("peer: stop: %w", err)
	}
	return nil
}

// close ends this node's own calls.
func (n *Node) close() {
	n.mu.Lock()
	n.stop()
	n.mu.Unlock()
	n.calls.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.clients {
		c.http.CloseIdleConnections()
	}
}

// serverTLS accepts pinned keys only. Session tickets are off: a resumed session would save one
// signature and prove nothing anew.
func (n *Node) serverTLS() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{n.cert},
		ClientAuth:             tls.RequireAnyClientCert, // whose key is what VerifyConnection asks
		SessionTicketsDisabled: true,
		NextProtos:             []string{"http/1.1"},
		VerifyConnection: func(state tls.ConnectionState) error {
			if _, ok := n.trusted(&state); !ok {
				n.metrics.refused.Inc()
				return errors.New("not a trusted peer")
			}
			return nil
		},
	}
}

// trusted finds who is at the other end, in the table of now.
func (n *Node) trusted(state *tls.ConnectionState) (Trust, bool) {
	k, ok := peerKey(state)
	if !ok {
		return Trust{}, false
	}
	trust, ok := n.table.Load().byKey[k]
	return trust, ok
}

// peerKey is the Ed25519 key that the other end proved to hold.
func peerKey(state *tls.ConnectionState) (key, bool) {
	if state == nil || len(state.PeerCertificates) == 0 {
		return key{}, false
	}
	public, ok := state.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	if !ok || len(public) != ed25519.PublicKeySize {
		return key{}, false
	}
	return key(public), true
}

func (n *Node) server() *http.Server {
	return &http.Server{
		Handler:           http.HandlerFunc(n.serve),
		ReadHeaderTimeout: 5 * time.Second,         // the handshake too
		ReadTimeout:       maxCall + 5*time.Second, // its end also ends a handler under way
		WriteTimeout:      maxCall + 5*time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          slog.NewLogLogger(n.log.Handler(), slog.LevelDebug), // strangers must not fill the log
	}
}
