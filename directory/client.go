package directory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"switchpoint/internal/secret"
)

// Options is what a Client needs.
type Options struct {
	Config  Config
	Log     *slog.Logger          // nil discards
	Metrics prometheus.Registerer // nil registers nothing
	// Report is told how each exchange with a server went, by its host:port, for the servers of
	// Config.Addresses; nil: nobody is.
	Report func(address string, o Outcome)
	// Resolver answers for the hosts of URLs and for ldap+srv; nil: the system's.
	Resolver *net.Resolver
}

// Outcome is how one exchange with a server went, as far as it says something about the server.
type Outcome struct {
	Failed   bool // no answer: refused, broken or timed out
	TimedOut bool
	Took     time.Duration // with the wait for a free connection
}

// Client asks one directory. It may be used by many goroutines.
type Client struct {
	config    Config
	password  string // of the service account
	domain    string // of the base DN
	filter    filterTemplate
	log       *slog.Logger
	metrics   *metrics
	report    func(string, Outcome)
	resolver  *net.Resolver
	referrals map[string]*server // by host in lower case

	fleet     atomic.Pointer[fleet]
	turns     turns
	discovery discovery

	flights flights
	sids    *memo[string]   // DN of a group, by the bytes of its SID; empty: nobody has that
	parents *memo[[]string] // DNs of the groups that a group is in, by its normal DN
	told    sync.Map        // warnings that were logged
}

// New makes a Client and reads the bind password; it does not connect. Its error is the
// problem.List of Config.Validate, or names the secret that could not be read.
func New(o Options) (*Client, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	cfg := o.Config.WithDefaults()
	c := &Client{
		config: cfg, filter: newFilterTemplate(cfg.UserFilter), domain: baseDomain(cfg.BaseDN), log: o.Log, report: o.Report, resolver: o.Resolver,
		referrals: make(map[string]*server), sids: newMemo[string](memoSize), parents: newMemo[[]string](memoSize),
	}
	if c.report == nil {
		c.report = func(string, Outcome) {}
	}
	if c.resolver == nil {
		c.resolver = net.DefaultResolver
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.log = c.log.With("directory", cfg.Name)
	var err error
	if cfg.BindDN != "" {
		if c.password, err = secret.Read(cfg.BindPassword); err != nil {
			return nil, fmt.Errorf("directory %s: %w", cfg.Name, err)
		}
	}
	if err := c.discover(); err != nil {
		return nil, fmt.Errorf("directory %s: %w", cfg.Name, err)
	}
	if c.metrics, err = newMetrics(o.Metrics, cfg.Name); err != nil {
		return nil, fmt.Errorf("directory %s: register metrics: %w", cfg.Name, err)
	}
	return c, nil
}

// discover makes the servers that need no DNS, and those of Referrals.
func (c *Client) discover() error {
	c.discovery = discovery{names: make(map[int]srvName), turn: make(chan struct{}, 1), records: make(map[int][]endpoint)}
	for i, raw := range c.config.Servers {
		name, dns, err := parseSRV(raw)
		if err != nil {
			return err
		}
		if dns {
			c.discovery.names[i] = name
		}
	}
	for _, raw := range c.config.Referrals {
		s, err := newServer(c.config, c.password, raw, c.resolver)
		if err != nil {
			return err
		}
		u, err := url.Parse(s.name)
		if err != nil {
			return err
		}
		c.referrals[strings.ToLower(u.Hostname())] = s
	}
	return c.assemble()
}

// Name is the directory's name in the configuration.
func (c *Client) Name() string { return c.config.Name }

// Health is nil while at least one server answers, else it says what is wrong with the first.
// It never asks a server: Run and the operations keep it current.
func (c *Client) Health() error {
	first := errNoServer
	for _, s := range c.fleet.Load().servers {
		open, err := s.breaker.state()
		if !open && !errors.Is(err, errNotAsked) {
			return nil
		}
		if errors.Is(first, errNoServer) {
			first = fmt.Errorf("%w: %s: %w", ErrUnavailable, s.name, err)
		}
	}
	return first
}

// learn records how an exchange with s that began then ended, and gives back err. Only what says something about
// the server counts: neither the caller's cancellation nor a deadline shorter than Timeout does.
func (c *Client) learn(ctx context.Context, s *server, began time.Time, err error) error {
	t, transport := errors.AsType[*transportError](err)
	switch {
	case !transport && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)):
	case errors.Is(err, errSkipped), errors.Is(err, errClosed):
	case transport && t.timeout && ctx.Err() != nil:
	case transport:
		if !ownFault(t) {
			c.tell(s, Outcome{Failed: true, TimedOut: t.timeout, Took: time.Since(began)})
		}
		patient := !t.dial && c.lastStanding(s)
		if s.breaker.fail(time.Now(), t, patient) {
			c.metrics.opened.WithLabelValues(s.name).Inc()
			c.log.Warn("directory server is down", "server", s.name, "err", t)
		}
	default:
		c.tell(s, Outcome{Took: time.Since(began)})
		if s.breaker.succeed() {
			c.log.Info("directory server is up again", "server", s.name)
		}
	}
	return err
}

// lastStanding says whether every other server is down.
func (c *Client) lastStanding(s *server) bool {
	for _, other := range c.fleet.Load().servers {
		if open, _ := other.breaker.state(); other != s && !open {
			return false
		}
	}
	return true
}

func (c *Client) tell(s *server, o Outcome) {
	if s.reported {
		c.report(s.address, o)
	}
}

// warnOnce logs what would otherwise be said with every login.
func (c *Client) warnOnce(message string, args ...any) {
	if _, told := c.told.LoadOrStore(message, true); !told {
		c.log.Warn(message, args...) //nolint:sloglint // each caller gives a constant
	}
}
