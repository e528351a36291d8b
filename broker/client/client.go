package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"sync"
	"time"

	"switchpoint/broker/api"
)

// maxClusters bounds how many clusters one login may visit.
const maxClusters = 4

// defaultTimeout is above the 120 s for which a busy broker may buffer a login.
const defaultTimeout = 130 * time.Second

// Options says who signs in, from where, and whom to ask.
type Options struct {
	URL      string     // such as https://cb.company.com:8443; or
	Domain   string     // find the brokers by SRV _connection_broker._tcp.Domain
	DNS      []string   // host:port of DNS servers, asked in order; empty: the system's
	Source   netip.Addr // local address to use; invalid: any
	CA       string     // PEM file with the roots to trust; empty: the system's
	User     string
	Password string
	// NewPassword answers a prompt for one. When it is empty, or not taken, AskNewPassword is asked; nil:
	// the login ends with *PromptError.
	NewPassword    string
	AskNewPassword func(ctx context.Context, p api.Prompt) (string, error)
	// Client is what the brokers' logs say of this client.
	Client api.Client
	// OffersOnly signs in and leaves the desktops unconnected.
	OffersOnly bool
	// Timeout bounds the whole login; default 130 s, as a busy broker may buffer it for 120 s.
	Timeout time.Duration
	// OnHop is told each hop as soon as it is over; calls come one at a time. Nil: the outcome has them all.
	OnHop func(Hop)
	// Patience is how long brokers that say 503 with Retry-After are asked again, in all; default 60 s,
	// negative: not at all.
	Patience time.Duration
}

// Hop is one step of a login.
type Hop struct {
	Step   string // "dns", "connect", "busy", "wait", "prompt", "password", "login", "redirect", "start", "desktop"
	Detail string // what happened, without secrets
	Took   time.Duration
}

// Outcome is a finished login.
type Outcome struct {
	Hops    []Hop
	Broker  api.Broker           // who signed the user in
	Via     netip.Addr           // the address that the name gave
	Offers  []api.Offer          // what could have been connected to
	Desktop *api.ConnectResponse // nil with OffersOnly
}

// RefusedError is a broker's "no", with its reason.
type RefusedError struct {
	Reason api.Reason
	Broker api.Broker
}

// Error gives the reason in words.
func (e *RefusedError) Error() string {
	by := ""
	if e.Broker.Name != "" {
		by = " by " + e.Broker.Name
	}
	return Plain(fmt.Sprintf("refused%s (%s): %s", by, e.Reason.Code, e.Reason.Text))
}

// PromptError is a question of the broker that nobody answered.
type PromptError struct {
	Prompt api.Prompt
	Broker api.Broker
}

// Error gives the question.
func (e *PromptError) Error() string {
	return Plain(fmt.Sprintf("%s asks (%s): %s", e.Broker.Name, e.Prompt.Code, e.Prompt.Text))
}

// Login signs in and, unless OffersOnly, connects to the first desktop offered. On an error the
// hops so far are in the outcome, so that they can be shown.
func Login(ctx context.Context, o Options) (Outcome, error) {
	l, s, err := signIn(ctx, o)
	if s != nil {
		s.close()
	}
	return l.out, err
}

// signIn runs a login. The exchange with the cluster that it ended at is the caller's to close; nil
// when it failed.
func signIn(ctx context.Context, o Options) (*login, *session, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(o.Timeout, defaultTimeout))
	defer cancel()
	l := &login{opts: o, resolver: resolver{servers: o.DNS, source: o.Source}}
	s, err := l.run(ctx)
	return l, s, err
}

// login is the state of one login under way.
type login struct {
	opts     Options
	resolver resolver
	roots    *x509.CertPool
	out      Outcome
	mu       sync.Mutex // guards out.Hops and out.Via against the transport's dials
}

func (l *login) run(ctx context.Context) (*session, error) {
	if err := l.loadRoots(); err != nil {
		return nil, err
	}
	base, err := l.start(ctx)
	if err != nil {
		return nil, err
	}
	seen := make(visited)
	next := &home{url: base}
	for range maxClusters {
		seen.place(next.url)
		s := l.open(next.url.String())
		next, err = s.signIn(ctx, next.ticket, seen)
		if err == nil && next == nil {
			return s, nil
		}
		s.close()
		if err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("sign in: %d clusters, and each says that the user's home is elsewhere", maxClusters)
}

// start finds the URL to begin with.
func (l *login) start(ctx context.Context) (*url.URL, error) {
	if l.opts.URL != "" {
		return startURL(l.opts.URL)
	}
	if l.opts.Domain == "" {
		return nil, errors.New("sign in: neither a URL nor a domain is given")
	}
	began := time.Now()
	srvs, server, err := l.resolver.brokers(ctx, l.opts.Domain)
	if err != nil {
		return nil, err
	}
	base, err := srvURL(l.opts.Domain, srvs[0])
	if err != nil {
		return nil, err
	}
	l.hop("dns", fmt.Sprintf("_connection_broker._tcp.%s is %s (asked %s)", l.opts.Domain, base.Host, server), began)
	return base, nil
}

func (l *login) loadRoots() error {
	if l.opts.CA == "" {
		return nil
	}
	pem, err := os.ReadFile(l.opts.CA)
	if err != nil {
		return fmt.Errorf("read CA file: %w", err)
	}
	l.roots = x509.NewCertPool()
	if !l.roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("read CA file: no certificate in %s", l.opts.CA)
	}
	return nil
}

func (l *login) hop(step, detail string, began time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := Hop{Step: step, Detail: Plain(detail), Took: time.Since(began)}
	l.out.Hops = append(l.out.Hops, h)
	if l.opts.OnHop != nil {
		l.opts.OnHop(h)
	}
}

// open prepares the exchange with one cluster.
func (l *login) open(base string) *session {
	t := &http.Transport{
		DialContext:         l.dial,
		TLSClientConfig:     &tls.Config{RootCAs: l.roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 5 * time.Second, MaxResponseHeaderBytes: maxHeader,
	}
	return &session{login: l, base: base, transport: t, http: &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// dial resolves the name and takes the first address that accepts.
func (l *login) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	addrs, server, err := l.resolver.addresses(ctx, host)
	if err != nil {
		return nil, err
	}
	l.hop("dns", fmt.Sprintf("%s is %v (asked %s)", host, addrs, server), began)
	d := net.Dialer{Timeout: 2 * time.Second}
	if l.opts.Source.IsValid() {
		d.LocalAddr = localAddr(network, l.opts.Source)
	}
	var failures []error
	for _, a := range addrs {
		began = time.Now()
		conn, err := d.DialContext(ctx, network, net.JoinHostPort(a.String(), port))
		if err == nil {
			l.hop("connect", "TCP to "+conn.RemoteAddr().String(), began)
			l.mu.Lock()
			l.out.Via = a
			l.mu.Unlock()
			return conn, nil
		}
		failures = append(failures, err)
	}
	return nil, errors.Join(failures...)
}
