package pgserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// Bounds of the server's own pace.
const (
	startDeadline = 60 * time.Second
	stopGrace     = 20 * time.Second
	logTail       = 2000
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

	o       Options
	owner   *owner
	psql    string
	log     string
	process *os.Process
	done    chan struct{} // closed when it has ended
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
		err = fmt.Errorf("start PostgreSQL: %w; the end of %s:\n%s", err, s.log, s.tail())
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
	if s.owner, err = serverOwner(); err != nil {
		return err
	}
	if s.Addr, err = settled(s.Addr); err != nil {
		return err
	}
	if err := os.Mkdir(s.o.Dir, 0o700); err != nil {
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
		path := filepath.Join(s.o.Dir, name)
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), s.owner.own(path)); err != nil {
			return err
		}
	}
	if err := s.owner.own(s.o.Dir); err != nil {
		return err
	}
	if _, err = s.owner.run(ctx, "", initdb, "--pgdata="+s.data(), "--username=postgres", "--pwfile="+filepath.Join(s.o.Dir, "password"),
		"--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"); err != nil {
		return fmt.Errorf("%w (the server's user must be able to enter every folder above %s)", err, s.o.Dir)
	}
	return nil
}

func (s *Server) data() string { return filepath.Join(s.o.Dir, "data") }

// settled gives an address a port that is free.
func settled(addr string) (string, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "", fmt.Errorf("an address for PostgreSQL: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// arguments is the server's command line.
func (s *Server) arguments() []string {
	host, port, _ := net.SplitHostPort(s.Addr) // settled made it
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

// launch starts the server. The kernel ends it with the thread that has started it, which therefore
// belongs to the goroutine that waits for it.
func (s *Server) launch() error {
	program, err := Program("postgres")
	if err != nil {
		return err
	}
	out, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()             // the server has its own
	cmd := exec.Command(program, s.arguments()...) //nolint:gosec,noctx // G204: our own arguments; Stop ends it
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", out, out
	// SIGINT is PostgreSQL's fast shutdown. Its own group: Ctrl-C is for us, who then stop it.
	cmd.SysProcAttr = s.owner.attributes(true)
	started := make(chan error)
	s.done = make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its log
		}
		close(s.done)
	}()
	if err := <-started; err != nil {
		return err
	}
	s.process = cmd.Process
	return nil
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
		case <-s.done:
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
	return s.owner.run(ctx, sql, append([]string{s.psql, "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", "--file=-"},
		s.Socket(database)...)...)
}

// Run executes another program of PostgreSQL, as the server's user. Options of Socket say where the
// server is.
func (s *Server) Run(ctx context.Context, program string, args ...string) (string, error) {
	path, err := Program(program)
	if err != nil {
		return "", err
	}
	return s.owner.run(ctx, "", append([]string{path}, args...)...)
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

// Stop ends the server with all that it does, and waits for it.
func (s *Server) Stop() error {
	if s.process == nil {
		return nil
	}
	_ = s.process.Signal(syscall.SIGINT) // one that has ended needs no signal
	select {
	case <-s.done:
		return nil
	case <-time.After(stopGrace):
		// Immediate shutdown: it gives its shared memory back, which SIGKILL would not.
		_ = s.process.Signal(syscall.SIGQUIT)
		<-s.done
		return errors.New("PostgreSQL did not stop in time and was made to")
	}
}

func (s *Server) tail() []byte {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return []byte(err.Error())
	}
	return bytes.TrimSpace(text[max(0, len(text)-logTail):])
}
