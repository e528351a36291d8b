package pgserver

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
	"strings"
	"syscall"
	"time"

	"switchpoint/bench/ownserver"
)

// Bounds of the server's own pace.
const (
	startDeadline = 60 * time.Second
	stopGrace     = 20 * time.Second
)

// Options of Start. Dir and Password are required.
type Options struct {
	// Dir is made, with all that belongs to the server. Every folder above it must be open to the
	// server's user.
	Dir      string
	Addr     string // host:port; port 0 takes any that is free
	Password string // of the superuser postgres over TCP
	// Cert and Key are PEM files that are copied: with them the server offers TLS.
	Cert, Key string
	// Settings override lines of postgresql.conf.
	Settings map[string]string
}

// Server is a running server.
type Server struct {
	Addr string // host:port over TCP

	o     Options
	owner *ownserver.Owner
	psql  string
	log   string
	*ownserver.Process
}

// Start makes the server's data and starts it; it serves when Start returns.
func Start(ctx context.Context, o Options) (*Server, error) {
	s := &Server{o: o, Addr: o.Addr, log: filepath.Join(o.Dir, "log")}
	err := s.prepare(ctx)
	if err == nil {
		err = s.launch()
	}
	if err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	if err := s.await(ctx); err != nil {
		err = fmt.Errorf("start PostgreSQL: %w; the end of %s:\n%s", err, s.log, s.LogEnd())
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// prepare makes the folder with the data.
func (s *Server) prepare(ctx context.Context) (err error) {
	initdb, err := Program("initdb")
	if err != nil {
		return err
	}
	if s.psql, err = Program("psql"); err != nil {
		return err
	}
	if s.owner, err = ownserver.OwnerNamed("postgres"); err != nil {
		return err
	}
	if s.Addr, err = ownserver.Settled(s.Addr); err != nil {
		return err
	}
	if err := s.owner.Mkdir(s.o.Dir); err != nil {
		return err
	}
	files := map[string]string{"password": s.o.Password + "\n"}
	for name, from := range map[string]string{"server.pem": s.o.Cert, "server.key": s.o.Key} {
		if from == "" {
			continue
		}
		text, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		files[name] = string(text)
	}
	for name, text := range files {
		if err := s.owner.WriteFile(filepath.Join(s.o.Dir, name), []byte(text)); err != nil {
			return err
		}
	}
	if _, err = s.owner.Run(ctx, nil, initdb, "--pgdata="+s.data(), "--username=postgres", "--pwfile="+filepath.Join(s.o.Dir, "password"),
		"--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"); err != nil {
		return fmt.Errorf("%w (the server's user must be able to enter every folder above %s)", err, s.o.Dir)
	}
	return nil
}

func (s *Server) data() string { return filepath.Join(s.o.Dir, "data") }

// arguments is the server's command line.
func (s *Server) arguments() []string {
	host, port, _ := net.SplitHostPort(s.Addr) // prepare made it
	settings := map[string]string{
		"listen_addresses": host, "port": port, "unix_socket_directories": s.o.Dir, "fsync": "on", "timezone": "UTC",
	}
	if s.o.Cert != "" {
		maps.Copy(settings, map[string]string{
			"ssl": "on", "ssl_cert_file": filepath.Join(s.o.Dir, "server.pem"), "ssl_key_file": filepath.Join(s.o.Dir, "server.key"),
		})
	}
	maps.Copy(settings, s.o.Settings)
	args := []string{"-D", s.data()}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	return args
}

// launch starts the server. SIGINT is PostgreSQL's fast shutdown.
func (s *Server) launch() error {
	program, err := Program("postgres")
	if err != nil {
		return err
	}
	s.Process, err = s.owner.Launch(syscall.SIGINT, s.log, append([]string{program}, s.arguments()...)...)
	return err
}

// await asks over the socket, where nobody else can answer, until the server does.
func (s *Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startDeadline)
	defer cancel()
	for {
		_, err := os.Stat(filepath.Join(s.o.Dir, ".s.PGSQL."+s.port()))
		if err == nil {
			if _, err = s.SQL(ctx, "postgres", "SELECT 1"); err == nil {
				return nil
			}
		}
		select {
		case <-s.Done():
			return errors.New("it has ended")
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *Server) port() string {
	_, port, _ := net.SplitHostPort(s.Addr)
	return port
}

// SQL runs statements as superuser and returns what psql prints: rows without headings, columns
// parted by "|".
func (s *Server) SQL(ctx context.Context, database, sql string) (string, error) {
	return s.owner.Run(ctx, strings.NewReader(sql), append([]string{s.psql, "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", "--file=-"},
		s.Socket(database)...)...)
}

// Run executes another program of PostgreSQL, as the server's user. Options of Socket say where the
// server is.
func (s *Server) Run(ctx context.Context, program string, args ...string) (string, error) {
	path, err := Program(program)
	if err != nil {
		return "", err
	}
	return s.owner.Run(ctx, nil, append([]string{path}, args...)...)
}

// Socket are the options with which the clients of PostgreSQL reach the server as superuser.
func (s *Server) Socket(database string) []string {
	return []string{"--host=" + s.o.Dir, "--port=" + s.port(), "--username=postgres", database}
}

// URL is the server over TCP, without TLS, for the superuser.
func (s *Server) URL(database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword("postgres", s.o.Password), Host: s.Addr, Path: "/" + database, RawQuery: "sslmode=disable"}
	return u.String()
}

// Version of the server's programs, such as "15.18".
func (s *Server) Version(ctx context.Context) (string, error) {
	return s.SQL(ctx, "postgres", "SHOW server_version")
}

// LogFile is where the server writes what it has to say.
func (s *Server) LogFile() string { return s.log }

// Stop ends the server with all that it does, and waits for it. The immediate shutdown that follows when
// it does not obey gives its shared memory back, which SIGKILL would not.
func (s *Server) Stop() error {
	s.Resume()
	if err := s.Process.Stop(stopGrace, syscall.SIGQUIT); err != nil {
		return fmt.Errorf("stop PostgreSQL: %w", err)
	}
	return nil
}
