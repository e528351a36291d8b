package directory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/prometheus/client_golang/prometheus"

	"switchpoint/internal/secret"
)

// How often Run asks a server for its rootDSE.
const (
	probeEvery     = 5 * time.Second
	probeEveryDown = 2 * time.Second
)

// Options is what a Client needs.
type Options struct {
	Config  Config
	Log     *slog.Logger          // nil discards
	Metrics prometheus.Registerer // nil registers nothing
	// Report is told how each exchange with a server went, by its host:port; nil: nobody is.
	Report func(address string, o Outcome)
}

// Outcome is how one exchange with a server went, as far as it says something about the server.
type Outcome struct {
	Failed   bool // no answer: refused, broken or timed out
	TimedOut bool
	Took     time.Duration // with the wait for a free connection
}

// Client asks one directory. It may be used by many goroutines.
type Client struct {
	config  Config
	domain  string // of the base DN
	log     *slog.Logger
	metrics *metrics
	report  func(string, Outcome)
	servers []*server
}

// New makes a Client and reads the bind password; it does not connect. Its error is the
// problem.List of Config.Validate, or names the secret that could not be read.
func New(o Options) (*Client, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	cfg := o.Config.WithDefaults()
	c := &Client{config: cfg, domain: baseDomain(cfg.BaseDN), log: o.Log, report: o.Report}
	if c.report == nil {
		c.report = func(string, Outcome) {}
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.log = c.log.With("directory", cfg.Name)
	var password string
	var err error
	if cfg.BindDN != "" {
		if password, err = secret.Read(cfg.BindPassword); err != nil {
			return nil, fmt.Errorf("directory %s: %w", cfg.Name, err)
		}
	}
	for _, raw := range cfg.Servers {
		s, err := newServer(cfg, password, raw)
		if err != nil {
			return nil, fmt.Errorf("directory %s: %w", cfg.Name, err)
		}
		c.servers = append(c.servers, s)
	}
	if c.metrics, err = newMetrics(o.Metrics, cfg.Name); err != nil {
		return nil, fmt.Errorf("directory %s: register metrics: %w", cfg.Name, err)
	}
	return c, nil
}

// Name is the directory's name in the configuration.
func (c *Client) Name() string { return c.config.Name }

// Run keeps the servers' health known and their idle connections fresh until ctx ends, then
// waits for the operations under way and closes everything. A Client serves once only.
func (c *Client) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, s := range c.servers {
		wg.Go(func() { c.watch(ctx, s) })
	}
	wg.Wait()
	for _, s := range c.servers {
		wg.Go(s.close)
	}
	wg.Wait()
	for _, s := range c.servers {
		c.metrics.forget(s)
	}
	return nil
}

func (c *Client) watch(ctx context.Context, s *server) {
	for {
		began := time.Now()
		if asked, err := s.probe(ctx); asked {
			_ = c.learn(ctx, s, began, err) // what there is to say is in Health and in the log
		}
		s.reap(time.Now())
		c.metrics.server(s)
		wait := probeEvery
		if _, err := s.breaker.state(); err != nil {
			wait = probeEveryDown
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// Health is nil while at least one server answers, else it says what is wrong with the first.
// It never asks a server: Run and the operations keep it current.
func (c *Client) Health() error {
	var first error
	for _, s := range c.servers {
		open, err := s.breaker.state()
		if !open && !errors.Is(err, errNotAsked) {
			return nil
		}
		if first == nil {
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
			c.report(s.address, Outcome{Failed: true, TimedOut: t.timeout, Took: time.Since(began)})
		}
		patient := !t.dial && c.lastStanding(s)
		if s.breaker.fail(time.Now(), t, patient) {
			c.log.Warn("directory server is down", "server", s.name, "err", t)
		}
	default:
		c.report(s.address, Outcome{Took: time.Since(began)})
		if s.breaker.succeed() {
			c.log.Info("directory server is up again", "server", s.name)
		}
	}
	return err
}

// lastStanding says whether every other server is down.
func (c *Client) lastStanding(s *server) bool {
	for _, other := range c.servers {
		if open, _ := other.breaker.state(); other != s && !open {
			return false
		}
	}
	return true
}

// operate does op on the first server that can. After a failure it is sent again, on another
// connection or to the next server, only where again says that this is safe.
func (c *Client) operate(ctx context.Context, pick func(*server) *pool, again func(*transportError) bool, op func(*ldap.Conn) error) error {
	var last error
	for _, s := range c.servers {
		began := time.Now()
		err := c.learn(ctx, s, began, s.run(ctx, pick(s), again, op))
		t, transport := errors.AsType[*transportError](err)
		switch {
		case errors.Is(err, context.Canceled):
			return err
		case errors.Is(err, context.DeadlineExceeded) && !transport:
			return fmt.Errorf("%w: %s: no free connection in time", ErrUnavailable, s.name)
		case errors.Is(err, errSkipped):
			if _, why := s.breaker.state(); why != nil {
				err = why
			}
			last = errors.Join(last, fmt.Errorf("%w: %s: %w", ErrUnavailable, s.name, err))
		case transport, errors.Is(err, errClosed):
			last = errors.Join(last, fmt.Errorf("%w: %s: %w", ErrUnavailable, s.name, err))
			if transport && !again(t) {
				return last
			}
		default:
			return err
		}
	}
	return last
}
