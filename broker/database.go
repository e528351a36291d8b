package broker

import (
	"cmp"
	"net"
	"path/filepath"
	"strconv"

	"switchpoint/internal/problem"
	"switchpoint/internal/secret"
)

// Kinds of database.
const (
	KindSQLite   = "sqlite"
	KindPostgres = "postgres"
)

// Values of Database.TLS.
const (
	DatabaseTLSVerify = "verify"
	DatabaseTLSOff    = "off"
)

const (
	defaultConnections = 16
	maxConnections     = 1000
)

// Database is the [broker.database] section: where the cluster's one shared memory is.
type Database struct {
	Kind string `toml:"kind"` // "sqlite" (default): brokers of one host; "postgres"
	Path string `toml:"path"` // sqlite: default broker.db in the state directory

	// Hosts are the PostgreSQL servers as host:port (or the folder of a Unix socket), tried in
	// this order for the one that takes writes. Names are resolved anew at each connect (FO2).
	Hosts    []string `toml:"hosts"`
	Name     string   `toml:"name"`     // of the database; default "switchpoint"
	User     string   `toml:"user"`     // default "switchpoint"
	Password string   `toml:"password"` // "file:PATH" or "env:NAME"; empty where the server asks for none
	TLS      string   `toml:"tls"`      // "verify" (default) or "off"; a Unix socket has none
	CA       string   `toml:"ca"`       // PEM roots; default the system's
	// Connections bounds those that this broker holds; default 16.
	Connections int `toml:"connections"`
}

func (d Database) withDefaults() Database {
	d.Kind = cmp.Or(d.Kind, KindSQLite)
	if d.Kind == KindSQLite {
		d.Path = cmp.Or(d.Path, "broker.db")
		return d
	}
	d.Name = cmp.Or(d.Name, "switchpoint")
	d.User = cmp.Or(d.User, "switchpoint")
	d.TLS = cmp.Or(d.TLS, DatabaseTLSVerify)
	d.Connections = cmp.Or(d.Connections, defaultConnections)
	return d
}

// validate reports the problems of the section with the keys that belong to the other kind.
func (d Database) validate(l *problem.List) {
	switch d.Kind {
	case KindSQLite:
		for _, k := range []struct {
			key   string
			given bool
		}{
			{"hosts", len(d.Hosts) > 0},
			{"name", d.Name != ""},
			{"user", d.User != ""},
			{"password", d.Password != ""},
			{"tls", d.TLS != ""},
			{"ca", d.CA != ""},
			{"connections", d.Connections != 0},
		} {
			if k.given {
				l.Addf("database."+k.key, `write kind = "postgres", or remove it`, "is for a server, and the database is embedded")
			}
		}
	case KindPostgres:
		d.validateServer(l)
	default:
		l.Addf("database.kind", `write "sqlite" or "postgres"`, "unknown database kind %q", d.Kind)
	}
}

func (d Database) validateServer(l *problem.List) {
	if d.Path != "" {
		l.Addf("database.path", "remove it", "is for the embedded database")
	}
	if len(d.Hosts) == 0 {
		l.Addf("database.hosts", `write hosts = ["db1.company.com:5432"]`, "no server is named")
	}
	for i, h := range d.Hosts {
		if filepath.IsAbs(h) {
			continue
		}
		host, port, err := net.SplitHostPort(h)
		if n, perr := strconv.Atoi(port); err != nil || perr != nil || host == "" || n < 1 || n > 65535 {
			l.Addf(index("database.hosts", i), `write host:port, e.g. "db1.company.com:5432"`, "%q is no server address", h)
		}
	}
	if d.Password != "" {
		if err := secret.Check(d.Password); err != nil {
			l.Addf("database.password", secret.Cure, "%v", err)
		}
	}
	if d.TLS != DatabaseTLSVerify && d.TLS != DatabaseTLSOff {
		l.Addf("database.tls", `write "verify" or "off"`, "unknown tls %q", d.TLS)
	}
	if d.Connections < 2 || d.Connections > maxConnections {
		l.Addf("database.connections", "leave it out for the default of 16", "%d is not in 2..%d", d.Connections, maxConnections)
	}
}
