package realserver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// PostgresOptions describes a PostgreSQL server.
type PostgresOptions struct {
	// Database is created for the test; default "switchpoint".
	Database string
	// Password of the superuser postgres over TCP; default "postgres-secret".
	// Over the Unix socket no password is asked.
	Password string
	// Settings override lines of postgresql.conf, such as max_connections.
	Settings map[string]string
	// TLS lets clients ask for TLS; without it they may not.
	TLS bool
	// Host is where the server runs and listens, for all of its network; nil: beside the test, on 127.0.0.1.
	Host *Host

	ports func() (int, error) // for tests; nil = freePort
}

// PostgresServer is a running PostgreSQL server with its own data, with fsync
// on: what it has committed survives Kill.
type PostgresServer struct {
	DSN       string // URL with the password, over TCP, without TLS
	Addr      string // 127.0.0.1:PORT, or that of its host
	Port      int
	SocketDir string // folder of the Unix socket
	Database  string
	CAFile    string // PEM, of the server's certificate; empty without TLS

	server
	bin     postgresPrograms
	root    string
	pidFile string
	options PostgresOptions
}

type postgresPrograms struct{ postgres, initdb, psql, basebackup string }

// Postgres starts a PostgreSQL server for the length of the test.
func Postgres(t testing.TB, o PostgresOptions) *PostgresServer {
	t.Helper()
	s := newPostgres(t, o.withDefaults())
	ctx := context.Background()
	if err := s.initdb(ctx); err != nil {
		t.Fatalf("prepare postgres: %v", err)
	}
	t.Cleanup(s.proc.kill)
	s.firstStart(s.listen)
	if s.Database != "postgres" {
		if _, err := s.psql(ctx, "postgres", "CREATE DATABASE "+quoteIdent(s.Database)); err != nil {
			s.proc.fatal(fmt.Errorf("create the test's database: %w", err))
		}
	}
	return s
}

// Standby starts a second server that copies this one, streams what it writes and replays it.
// It may be read, and promoted with pg_promote().
func (s *PostgresServer) Standby() *PostgresServer {
	s.proc.t.Helper()
	copied := newPostgres(s.proc.t, s.options)
	err := copied.proc.owner.own(copied.root)
	if err == nil {
		_, err = run(context.Background(), copied.proc.owner, nil, s.bin.basebackup, "--pgdata="+filepath.Dir(copied.pidFile),
			"--host="+s.SocketDir, "--port="+strconv.Itoa(s.Port), "--username=postgres", "--checkpoint=fast", "--no-sync",
			"--write-recovery-conf")
	}
	if err != nil {
		s.proc.fatal(fmt.Errorf("copy the server: %w", err))
	}
	s.proc.t.Cleanup(copied.proc.kill)
	copied.firstStart(copied.listen)
	return copied
}

// newPostgres makes all of a server but its data.
func newPostgres(t testing.TB, o PostgresOptions) *PostgresServer {
	t.Helper()
	const versions = "/usr/lib/postgresql/*/bin" // where Debian keeps what PATH does not show
	own, err := serverOwner("postgres")
	if err != nil {
		t.Fatal(err)
	}
	root := newRoot(t, "postgres")
	s := &PostgresServer{
		SocketDir: root, Database: o.Database, options: o,
		bin: postgresPrograms{
			postgres:   findProgram(t, "postgres", versions),
			initdb:     findProgram(t, "initdb", versions),
			psql:       findProgram(t, "psql", versions),
			basebackup: findProgram(t, "pg_basebackup", versions),
		},
		root: root, pidFile: filepath.Join(root, "data", "postmaster.pid"),
	}
	// SIGINT is PostgreSQL's fast shutdown: open sessions are ended, not waited for.
	s.answers = s.ready
	s.proc = process{
		t: t, name: "postgres", owner: own, host: o.Host, stopSig: syscall.SIGINT,
		logFile: filepath.Join(root, "postgres.log"),
	}
	if o.TLS {
		ca := newCA(t, root)
		s.CAFile = ca.CertFile
		certFile, keyFile := ca.Issue("server")
		s.options.Settings = maps.Clone(o.Settings)
		maps.Copy(s.options.Settings, map[string]string{"ssl": "on", "ssl_cert_file": certFile, "ssl_key_file": keyFile})
	}
	return s
}

func (o PostgresOptions) withDefaults() PostgresOptions {
	if o.Database == "" {
		o.Database = "switchpoint"
	}
	if o.Password == "" {
		o.Password = "postgres-secret"
	}
	settings := map[string]string{
		"fsync":            "on",
		"listen_addresses": o.ip(),
		"max_connections":  "100",
		"shared_buffers":   "16MB",
		"ssl":              "off",
		"timezone":         "UTC",
	}
	maps.Copy(settings, o.Settings)
	o.Settings = settings
	if o.ports == nil {
		o.ports = freePort
	}
	return o
}

func (o PostgresOptions) ip() string {
	if o.Host == nil {
		return "127.0.0.1"
	}
	return o.Host.Addr().String()
}

// initdb makes the data folder. Only what initdb itself writes goes without
// fsync: a crash before the first start needs no recovery.
func (s *PostgresServer) initdb(ctx context.Context) error {
	data := filepath.Dir(s.pidFile)
	password := filepath.Join(s.root, "password")
	if err := os.WriteFile(password, []byte(s.options.Password+"\n"), 0o600); err != nil {
		return fmt.Errorf("write password: %w", err)
	}
	if err := s.proc.owner.own(s.root); err != nil {
		return err
	}
	_, err := run(ctx, s.proc.owner, nil, s.bin.initdb, "--pgdata="+data, "--username=postgres", "--pwfile="+password,
		"--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync")
	if err != nil || s.options.Host == nil {
		return err
	}
	return appendTo(filepath.Join(data, "pg_hba.conf"), fmt.Sprintf("host all all %s scram-sha-256\n", s.options.Host.net.subnet))
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// listen makes the command line for a new port.
func (s *PostgresServer) listen() error {
	o := s.options
	port, err := o.ports()
	if err != nil {
		return err
	}
	s.Port, s.Addr = port, net.JoinHostPort(o.ip(), strconv.Itoa(port))
	dsn := url.URL{Scheme: "postgres", User: url.UserPassword("postgres", o.Password), Host: s.Addr, Path: "/" + s.Database}
	s.DSN = dsn.String() + "?sslmode=disable"
	s.proc.argv = []string{s.bin.postgres, "-D", filepath.Dir(s.pidFile), "-k", s.SocketDir, "-p", strconv.Itoa(port)}
	for _, name := range slices.Sorted(maps.Keys(o.Settings)) {
		s.proc.argv = append(s.proc.argv, "-c", name+"="+o.Settings[name])
	}
	return nil
}

// Exec runs SQL in the test's database as superuser and returns what psql
// prints: rows without headings, columns parted by "|". SQL that fails fails
// the test.
func (s *PostgresServer) Exec(sql string) string {
	s.proc.t.Helper()
	out, err := s.psql(context.Background(), s.Database, sql)
	if err != nil {
		s.proc.fatal(err)
	}
	return out
}

func (s *PostgresServer) psql(ctx context.Context, database, sql string) (string, error) {
	out, err := run(ctx, s.proc.owner, []byte(sql), s.bin.psql, "--no-psqlrc", "--quiet", "--tuples-only", "--no-align",
		"--set=ON_ERROR_STOP=1", "--host="+s.SocketDir, "--port="+strconv.Itoa(s.Port), "--username=postgres",
		"--dbname="+database, "--file=-")
	return strings.TrimSuffix(string(out), "\n"), err
}

// ready asks over the Unix socket, which is in a folder of our own: only our
// server can answer there, and it does so after it has bound its TCP port.
// The pid file is looked at first, because a psql that fails is dear.
func (s *PostgresServer) ready(ctx context.Context) error {
	data, err := os.ReadFile(s.pidFile)
	if err != nil {
		return fmt.Errorf("no pid file yet: %w", err)
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	if lines[0] != strconv.Itoa(s.proc.pid) || strings.TrimSpace(lines[len(lines)-1]) != "ready" {
		return fmt.Errorf("postmaster.pid does not say that process %d is ready", s.proc.pid)
	}
	_, err = s.psql(ctx, "postgres", "SELECT 1")
	return err
}

func quoteIdent(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
