package realserver

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// PgBouncerOptions describes a PgBouncer.
type PgBouncerOptions struct {
	// Server is the PostgreSQL server behind it. Required.
	Server *PostgresServer
	// Settings override lines of the section [pgbouncer], such as pool_mode (default transaction).
	Settings map[string]string

	ports func() (int, error) // for tests; nil = freePort
}

// PgBouncerServer is a running PgBouncer that lets the superuser into every database of its server.
type PgBouncerServer struct {
	DSN  string // URL with the password, of the server's database
	Addr string // 127.0.0.1:PORT

	server
	root    string
	port    int
	options PgBouncerOptions
}

// PgBouncer starts a PgBouncer for the length of the test.
func PgBouncer(t testing.TB, o PgBouncerOptions) *PgBouncerServer {
	t.Helper()
	if o.ports == nil {
		o.ports = freePort
	}
	own, err := serverOwner("postgres")
	if err != nil {
		t.Fatal(err)
	}
	s := &PgBouncerServer{root: newRoot(t, "pgbouncer"), options: o}
	config := filepath.Join(s.root, "pgbouncer.ini")
	s.answers = s.ready
	s.proc = process{
		t: t, name: "pgbouncer", owner: own, stopSig: syscall.SIGTERM,
		logFile: filepath.Join(s.root, "pgbouncer.log"),
		argv:    []string{findProgram(t, "pgbouncer", "/usr/sbin", "/usr/local/sbin"), config},
	}
	t.Cleanup(s.proc.kill)
	s.firstStart(func() (err error) {
		if s.port, err = o.ports(); err != nil {
			return err
		}
		s.Addr = local(s.port)
		dsn := url.URL{Scheme: "postgres", User: s.user(), Host: s.Addr, Path: "/" + o.Server.Database}
		s.DSN = dsn.String() + "?sslmode=disable"
		users := fmt.Sprintf("%q %q\n", "postgres", o.Server.options.Password)
		if err := os.WriteFile(filepath.Join(s.root, "users.txt"), []byte(users), 0o600); err != nil {
			return err
		}
		return s.writeAll(s.root, config, s.text())
	})
	return s
}

// user is the superuser, whom PgBouncer knows as the server does.
func (s *PgBouncerServer) user() *url.Userinfo {
	return url.UserPassword("postgres", s.options.Server.options.Password)
}

// text is the configuration file.
func (s *PgBouncerServer) text() string {
	settings := map[string]string{
		"listen_addr":     "127.0.0.1",
		"listen_port":     fmt.Sprint(s.port),
		"unix_socket_dir": "", // it would go on without its TCP port
		"auth_type":       "scram-sha-256",
		"auth_file":       filepath.Join(s.root, "users.txt"),
		"admin_users":     "postgres",
		"pool_mode":       "transaction",
		"max_client_conn": "1000",
	}
	maps.Copy(settings, s.options.Settings)
	var b strings.Builder
	fmt.Fprintf(&b, "[databases]\n* = host=127.0.0.1 port=%d\n[pgbouncer]\n", s.options.Server.Port)
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&b, "%s = %s\n", name, settings[name])
	}
	return b.String()
}

// ready asks for the configuration: only ours names files in our own folder.
func (s *PgBouncerServer) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second) // who took the port may not answer at all
	defer cancel()
	out, err := s.ask(ctx, "SHOW CONFIG")
	if err == nil && !strings.Contains(out, s.root) {
		return fmt.Errorf("another PgBouncer answers at %s", s.Addr)
	}
	return err
}

// Admin runs a command of PgBouncer's own console, such as SHOW POOLS, and returns its rows, columns
// parted by "|". A command that fails fails the test.
func (s *PgBouncerServer) Admin(command string) string {
	s.proc.t.Helper()
	out, err := s.ask(context.Background(), command)
	if err != nil {
		s.proc.fatal(err)
	}
	return out
}

func (s *PgBouncerServer) ask(ctx context.Context, command string) (string, error) {
	console := url.URL{Scheme: "postgres", User: s.user(), Host: s.Addr, Path: "/pgbouncer", RawQuery: "sslmode=disable"}
	out, err := run(ctx, s.proc.owner, nil, s.options.Server.bin.psql, "--no-psqlrc", "--tuples-only", "--no-align", "--command="+command, console.String())
	return strings.TrimSuffix(string(out), "\n"), err
}
