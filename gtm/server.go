package gtm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"switchpoint/directory/sites"
	"switchpoint/gtm/nodes"
	"switchpoint/gtm/steer"
	"switchpoint/healthcheck"
)

// Options is what a Server needs.
type Options struct {
	// Listen are ip:port addresses; each gets a UDP and a TCP socket. Port 0 chooses a free
	// one, the same for both.
	Listen []string
	// Snapshot gives the newest health snapshot, Subscribe follows them.
	Snapshot  func() *healthcheck.Snapshot
	Subscribe func() *healthcheck.Subscription // nil: health never changes

	Name     string       // of this node, among the nodes
	StateDir string       // what the node keeps of operators and of its own past; empty: nothing
	Nodes    nodes.Config // the other nodes
	// Call asks another node (peer.Node.Call); nil for a node alone.
	Call func(ctx context.Context, peer, method string, body []byte) ([]byte, error)

	Log     *slog.Logger          // nil discards
	Metrics prometheus.Registerer // nil registers nothing
}

// Server is the DNS server around Resolve: sockets, nothing else.
type Server struct {
	standing  atomic.Pointer[standing]
	directing sync.Mutex // held while a new standing is made
	nudge     chan struct{}
	placing   sync.Mutex  // held while table or sites change; before directing
	sites     *sites.Set  // the newest of the directory
	restored  *steer.View // what the last process left; has no answers
	memory    *keeper
	nodes     *nodes.Nodes
	snapshot  func() *healthcheck.Snapshot
	subscribe func() *healthcheck.Subscription
	log       *slog.Logger
	metrics   *metrics
	udp       []*net.UDPConn
	tcp       []*net.TCPListener
	started   time.Time
	secrets   []cookieSecret // one, made at the start, for tables without their own
	limiter   *limiter
	conns     connTable
	queries   *queryLog
	domains   *domains
}

// New binds the sockets, so that a port in use is known before anything runs. They answer
// nothing until Run, and SERVFAIL until SetTable. Run closes them, also with an ended context.
func New(o Options) (*Server, error) {
	s := &Server{
		snapshot: o.Snapshot, subscribe: o.Subscribe, log: o.Log, nudge: make(chan struct{}, 1),
		started: time.Now(), secrets: []cookieSecret{newCookieSecret()}, limiter: newLimiter(),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.snapshot == nil {
		s.snapshot = func() *healthcheck.Snapshot { return nil }
	}
	s.memory = newKeeper(o.StateDir, s.log)
	s.restored = s.memory.restore()
	var err error
	if s.metrics, err = newMetrics(o.Metrics, s.View); err != nil {
		return nil, err
	}
	s.queries = newQueryLog(s.metrics.lost, s.log)
	if s.domains, err = newDomains(s.log, o.Metrics); err != nil {
		return nil, err
	}
	if s.nodes, err = nodes.New(nodes.Options{
		Config: o.Nodes, Name: o.Name, StateDir: o.StateDir, Snapshot: s.snapshot, Subscribe: o.Subscribe,
		Call: o.Call, Changed: s.changed, Log: s.log, Metrics: o.Metrics,
	}); err != nil {
		return nil, fmt.Errorf("gtm: %w", err)
	}
	for _, l := range o.Listen {
		if err := s.bind(l); err != nil {
			s.closeSockets()
			return nil, fmt.Errorf("gtm: %w", err)
		}
	}
	return s, nil
}

// Addr gives the bound addresses in the order of Listen.
func (s *Server) Addr() []netip.AddrPort {
	out := make([]netip.AddrPort, len(s.udp))
	for i, c := range s.udp {
		out[i] = c.LocalAddr().(*net.UDPAddr).AddrPort()
	}
	return out
}

// Run serves until ctx ends, then closes every socket and connection and waits for all of its
// goroutines. It runs once and always returns nil: a socket error is counted and outlived.
func (s *Server) Run(ctx context.Context) error {
	s.refresh()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.direct(ctx) })
	g.Go(func() error { return s.nodes.Run(ctx) })
	g.Go(func() error { return s.domains.run(ctx) })
	g.Go(func() error { return s.memory.run(ctx, s.View) })
	g.Go(func() error { return s.queries.run(ctx, s.queryLog) })
	g.Go(func() error {
		<-ctx.Done()
		s.closeSockets()
		s.conns.closeAll()
		return nil
	})
	for _, c := range s.udp {
		for range runtime.GOMAXPROCS(0) {
			g.Go(func() error { return s.serveUDP(ctx, c) })
		}
	}
	for _, l := range s.tcp {
		g.Go(func() error { return s.serveTCP(ctx, l) })
	}
	return g.Wait()
}

// serveUDP answers packets of one socket, one at a time, with its own two buffers. Several run
// per socket; there is no goroutine per packet, so that a flood costs packets and not memory.
func (s *Server) serveUDP(ctx context.Context, c *net.UDPConn) error {
	in, out := make([]byte, maxMessage), make([]byte, maxMessage)
	for {
		n, from, err := c.ReadFromUDPAddrPort(in)
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			s.metrics.ioErrors.WithLabelValues("udp_read").Inc()
			pause(ctx)
			continue
		}
		wire := s.answer(in[:n], from.Addr(), "udp", out)
		if wire == nil {
			continue
		}
		if _, err := c.WriteToUDPAddrPort(wire, from); err != nil {
			s.metrics.ioErrors.WithLabelValues("udp_write").Inc()
		}
	}
}

// answer loads table and view once and responds.
func (s *Server) answer(pkt []byte, client netip.Addr, transport string, buf []byte) []byte {
	now := time.Now()
	var table *Table
	var view *steer.View
	if st := s.standing.Load(); st != nil {
		table, view = st.table, st.view
	}
	client = client.Unmap().WithZone("")
	var domain string
	var due bool
	if table != nil && table.places.WantsDomain(client) {
		domain, due = s.domains.find(client, now)
	}
	wire, out := respond(table, view, request{
		packet: pkt, client: client, domain: domain, tcp: transport == "tcp", draw: rand.Uint64(),
		now: uint32(now.Unix()), uptime: now.Sub(s.started), secrets: s.secrets, limiter: s.limiter,
	}, buf)
	s.metrics.count(transport, wire != nil, out)
	if wire != nil && table != nil {
		s.queries.take(table.queryLog, now, client, transport, out)
	}
	if due && out.by != "" && out.ecs == ecsNone { // of no use for any other query
		s.domains.lookUp(client)
	}
	return wire
}

// pause keeps a socket that fails at once, again and again, from taking a whole processor.
func pause(ctx context.Context) {
	t := time.NewTimer(10 * time.Millisecond)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// bindTries bounds the search for a port that is free for both UDP and TCP.
const bindTries = 20

// bind opens the UDP and the TCP socket of one address.
func (s *Server) bind(listen string) error {
	addr, err := listenAddr(listen)
	if err != nil {
		return fmt.Errorf("listen on %q: %w", listen, err)
	}
	for try := 1; ; try++ {
		udp, tcp, err := bindPair(addr)
		if err == nil {
			s.udp, s.tcp = append(s.udp, udp), append(s.tcp, tcp)
			return nil
		}
		if addr.Port() != 0 || try == bindTries || !errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("listen on %s: %w%s", listen, err, bindCure(err))
		}
	}
}

func bindPair(addr netip.AddrPort) (*net.UDPConn, *net.TCPListener, error) {
	lc := net.ListenConfig{Control: udpSocket}
	p, err := lc.ListenPacket(context.Background(), "udp", addr.String())
	if err != nil {
		return nil, nil, err
	}
	udp := p.(*net.UDPConn)
	bound := udp.LocalAddr().(*net.UDPAddr)
	tcp, err := net.ListenTCP("tcp", &net.TCPAddr{IP: bound.IP, Port: bound.Port, Zone: bound.Zone})
	if err != nil {
		return nil, nil, errors.Join(err, udp.Close())
	}
	return udp, tcp, nil
}

// bindCure says what to do about an address that cannot be bound.
func bindCure(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "; another process has this port: stop it, or change [gtm] listen"
	case errors.Is(err, syscall.EACCES):
		return "; ports below 1024 need CAP_NET_BIND_SERVICE"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "; this host does not have the address: add it to an interface, or change [gtm] listen"
	}
	return ""
}

// closeSockets ends every read and accept. Errors are of no use: the sockets go either way.
func (s *Server) closeSockets() {
	for _, c := range s.udp {
		c.Close()
	}
	for _, l := range s.tcp {
		l.Close()
	}
}
