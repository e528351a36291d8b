package ldapserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"switchpoint/bench/ownserver"
)

// Bounds of the server's own pace.
const (
	startDeadline = 60 * time.Second
	stopGrace     = 10 * time.Second
)

// Options of Start; all are required.
type Options struct {
	// Dir is made, with all that belongs to the server. Every folder above it must be open to the
	// server's user.
	Dir       string
	Addr      string // host:port for LDAPS; port 0 takes any that is free
	CA        string // PEM file with the authority of Cert
	Cert, Key string // PEM files that are copied; for the host of Addr
	Password  string // of Service
	Users     int
}

// Server is a running server.
type Server struct {
	Addr string // host:port of LDAPS

	o     Options
	owner *ownserver.Owner
	*ownserver.Process
}

// Start makes the tree and starts the server; it serves when Start returns.
func Start(ctx context.Context, o Options) (*Server, error) {
	s := &Server{o: o}
	slapd, err := s.prepare(ctx)
	if err == nil {
		err = s.launch(slapd)
	}
	if err != nil {
		return nil, fmt.Errorf("start slapd: %w", err)
	}
	if err := s.await(ctx); err != nil {
		err = fmt.Errorf("start slapd: %w; the end of %s:\n%s", err, s.path("log"), s.LogEnd())
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// URL is the server as a directory's configuration names it.
func (s *Server) URL() string { return "ldaps://" + s.Addr }

func (s *Server) path(name string) string { return filepath.Join(s.o.Dir, name) }

// prepare writes the files and loads the users; it returns the server's program.
func (s *Server) prepare(ctx context.Context) (slapd string, err error) {
	if slapd, err = program("slapd"); err != nil {
		return "", err
	}
	slapadd, err := program("slapadd")
	if err != nil {
		return "", err
	}
	schemata := folder("core.schema", "/etc/ldap/schema", "/etc/openldap/schema")
	if schemata == "" {
		return "", fmt.Errorf("its schema files: %w", ErrNotInstalled)
	}
	if s.owner, err = ownserver.OwnerNamed("openldap"); err != nil {
		return "", err
	}
	if s.Addr, err = ownserver.Settled(s.o.Addr); err != nil {
		return "", err
	}
	config := s.config(folder("back_mdb.so", "/usr/lib/ldap", "/usr/lib64/openldap", "/usr/lib/*/openldap"), schemata)
	if err := s.writeFiles(config); err != nil {
		return "", err
	}
	r, w := io.Pipe()
	written := make(chan struct{})
	go func() {
		defer close(written)
		_ = w.CloseWithError(writeEntries(w, s.o.Password, s.o.Users)) // an error reaches the reader
	}()
	_, err = s.owner.Run(ctx, r, slapadd, "-q", "-f", s.path("slapd.conf"))
	_ = r.Close() // which ends the writer, too
	<-written
	if err != nil {
		return "", fmt.Errorf("load the users: %w (the server's user must be able to enter every folder above %s)", err, s.o.Dir)
	}
	return slapd, nil
}

func (s *Server) writeFiles(config string) error {
	for _, dir := range []string{s.o.Dir, s.path("data")} {
		if err := s.owner.Mkdir(dir); err != nil {
			return err
		}
	}
	files := map[string]string{"slapd.conf": config}
	for name, from := range map[string]string{"server.pem": s.o.Cert, "server.key": s.o.Key} {
		text, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		files[name] = string(text)
	}
	for name, text := range files {
		if err := s.owner.WriteFile(s.path(name), []byte(text)); err != nil {
			return err
		}
	}
	return nil
}

// launch starts the server. A debug level, even the one that prints next to nothing, keeps slapd in
// the foreground.
func (s *Server) launch(slapd string) (err error) {
	s.Process, err = s.owner.Launch(syscall.SIGTERM, s.path("log"), slapd, "-f", s.path("slapd.conf"), "-h", s.URL()+"/", "-d", "none")
	return err
}

// await connects until the server answers with its certificate. slapd writes its pid file after it
// has bound its port, so the file tells its answer from that of a stranger there.
func (s *Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startDeadline)
	defer cancel()
	pem, err := os.ReadFile(s.o.CA)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	for {
		err := s.bound()
		if err == nil {
			var conn net.Conn
			if conn, err = dialer.DialContext(ctx, "tcp", s.Addr); err == nil {
				return conn.Close()
			}
		}
		select {
		case <-s.Done():
			return errors.New("it has ended")
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *Server) bound() error {
	text, err := os.ReadFile(s.path("slapd.pid"))
	if err != nil {
		return err
	}
	if pid := strings.TrimSpace(string(text)); pid != strconv.Itoa(s.PID()) {
		return fmt.Errorf("the pid file names process %q, want %d", pid, s.PID())
	}
	return nil
}

// Version of the server's program, such as "2.5.13".
func Version(ctx context.Context) string {
	path, err := program("slapd")
	if err != nil {
		return ""
	}
	out, _ := exec.CommandContext(ctx, path, "-VV").CombinedOutput() //nolint:gosec // G204: slapd says its version and exits
	_, rest, _ := strings.Cut(string(out), "slapd ")
	version, _, _ := strings.Cut(rest, " ")
	return strings.Trim(version, "() \n")
}

// Stop ends the server and waits for it.
func (s *Server) Stop() error {
	if err := s.Process.Stop(stopGrace, syscall.SIGKILL); err != nil {
		return fmt.Errorf("stop slapd: %w", err)
	}
	return nil
}
