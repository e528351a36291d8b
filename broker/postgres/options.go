package postgres

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"

	"switchpoint/internal/problem"
)

const (
	defaultConnectTimeout = 3 * time.Second
	defaultQueryTimeout   = 5 * time.Second
	maxConnLifetime       = 30 * time.Minute // so that a name that moved is seen (FO2)
	maxConnJitter         = 5 * time.Minute
	healthPeriod          = 5 * time.Second
	pingTimeout           = time.Second
	cancelGrace           = 200 * time.Millisecond // for the server to confirm that a statement was cancelled
)

// Options of Open. URL is required.
type Options struct {
	Log *slog.Logger
	// URL names the servers, in order of preference, the database and the user:
	// "postgres://broker@db1,db2:5433/switchpoint?sslmode=verify-full&sslrootcert=/etc/ca.pem". The
	// first server that can be written is used, so a primary and its standbys are listed alike.
	// Parameters: sslmode (disable, require, verify-ca, verify-full; default verify-full),
	// sslrootcert, sslcert, sslkey, and host and port for Unix sockets. Nothing is taken from the
	// environment.
	URL string
	// Password of the user, when it does not stand in URL.
	Password string
	// MaxConns bounds the connections of this process; default four per processor, at least 8.
	MaxConns int
	// ConnectTimeout bounds the way to each server of URL; default 3s.
	ConnectTimeout time.Duration
	// QueryTimeout is the deadline of a call whose context has none; default 5s.
	QueryTimeout time.Duration

	// Later makes Open return at once: a broker that has a host cache starts without its database.
	Later bool

	lookup pgconn.LookupFunc // for tests; nil = the system's resolver
}

// WithDefaults fills in what is not set.
func (o Options) WithDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.MaxConns = cmp.Or(o.MaxConns, max(8, 4*runtime.GOMAXPROCS(0)))
	o.ConnectTimeout = cmp.Or(o.ConnectTimeout, defaultConnectTimeout)
	o.QueryTimeout = cmp.Or(o.QueryTimeout, defaultQueryTimeout)
	return o
}

// Validate reports every problem; paths are the names of the fields in lower case.
func (o Options) Validate() error {
	var l problem.List
	if _, err := o.url(); err != nil {
		l = append(l, problem.Problem{Path: "url", What: err.Error(), Cure: "write postgres://USER@HOST[,HOST...]/DATABASE"})
	} else if _, err := o.config(); err != nil {
		l = append(l, problem.Problem{Path: "url", What: err.Error()})
	}
	if o.MaxConns < 0 || o.MaxConns == 1 || o.MaxConns > 10_000 {
		l.Addf("max_conns", "write 2 to 10000, or leave it out", "%d connections are not possible", o.MaxConns)
	}
	for _, d := range []struct {
		path string
		time.Duration
	}{{"connect_timeout", o.ConnectTimeout}, {"query_timeout", o.QueryTimeout}} {
		if d.Duration < 0 || d.Duration > time.Minute {
			l.Addf(d.path, "write a duration up to 1m, or leave it out", "%s is out of range", d.Duration)
		}
	}
	return l.Err()
}

// url reads URL strictly: what it does not know could weaken a connection or leak from one
// session into the next of a pooler.
func (o Options) url() (*url.URL, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		var e *url.Error // its text repeats the URL, which may hold a password
		if errors.As(err, &e) {
			err = e.Err
		}
		return nil, fmt.Errorf("it is no URL: %w", err)
	}
	q := u.Query()
	for name := range q {
		if !slices.Contains([]string{"host", "port", "sslmode", "sslrootcert", "sslcert", "sslkey"}, name) {
			return nil, fmt.Errorf("it has a parameter %q, which is not known here", name)
		}
	}
	if mode := q.Get("sslmode"); mode == "" {
		q.Set("sslmode", "verify-full")
	} else if !slices.Contains([]string{"disable", "require", "verify-ca", "verify-full"}, mode) {
		return nil, fmt.Errorf("sslmode %q does not say whether the connection is encrypted", mode)
	}
	switch {
	case u.Scheme != "postgres" && u.Scheme != "postgresql":
		return nil, fmt.Errorf("it begins with %q, not with postgres://", u.Scheme)
	case u.Host == "" && q.Get("host") == "":
		return nil, errors.New("it names no server")
	case u.User.Username() == "":
		return nil, errors.New("it names no user")
	case strings.Trim(u.Path, "/") == "":
		return nil, errors.New("it names no database")
	}
	q.Set("connect_timeout", "1") // ours replaces it; the environment's must not count
	q.Set("target_session_attrs", "read-write")
	q.Set("passfile", "")
	q.Set("servicefile", "")
	u.RawQuery = q.Encode()
	return u, nil
}

// config is what all connections have in common.
func (o Options) config() (*pgxpool.Config, error) {
	o = o.WithDefaults()
	u, err := o.url()
	if err != nil {
		return nil, err
	}
	c, err := pgxpool.ParseConfig(u.String())
	if err != nil {
		var e *pgconn.ParseConfigError // its text repeats the URL
		if inner := errors.Unwrap(err); errors.As(err, &e) && inner != nil {
			err = inner
		}
		return nil, fmt.Errorf("it cannot be used: %w", err)
	}
	if o.lookup != nil {
		c.ConnConfig.LookupFunc = o.lookup
	}
	password, _ := u.User.Password()
	c.ConnConfig.Password = cmp.Or(o.Password, password)
	c.ConnConfig.RuntimeParams = map[string]string{"application_name": "switchpoint"} // what any pooler lets through
	c.ConnConfig.ConnectTimeout = o.ConnectTimeout
	c.ConnConfig.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: cancelGrace}
	}
	c.MaxConns = int32(o.MaxConns)
	c.MaxConnLifetime, c.MaxConnLifetimeJitter = maxConnLifetime, maxConnJitter
	c.HealthCheckPeriod, c.PingTimeout = healthPeriod, pingTimeout
	return c, nil
}
