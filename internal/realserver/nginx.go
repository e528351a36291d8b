package realserver

import (
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// NginxOptions describes an nginx server.
type NginxOptions struct {
	// Body is the answer to every request that Config says nothing of; default "CB_IS_OKAY".
	Body string
	// Config is put into the server block: locations, limits, redirects.
	Config string

	ports func() (int, error) // for tests; nil = freePort
}

// NginxServer is a running nginx with one worker.
type NginxServer struct {
	Addr    string // 127.0.0.1:PORT, HTTP
	TLSAddr string // 127.0.0.1:PORT, HTTPS
	CAFile  string // PEM, of the HTTPS certificate

	server
	token     string // only our server answers with it
	root      string
	cert, key string
}

// Nginx starts an nginx for the length of the test.
func Nginx(t testing.TB, o NginxOptions) *NginxServer {
	t.Helper()
	if o.Body == "" {
		o.Body = "CB_IS_OKAY"
	}
	if o.ports == nil {
		o.ports = freePort
	}
	program := findProgram(t, "nginx", "/usr/sbin", "/usr/local/sbin")
	own, err := serverOwner("www-data")
	if err != nil {
		t.Fatal(err)
	}
	s := &NginxServer{token: rand.Text(), root: newRoot(t, "nginx")}
	config := filepath.Join(s.root, "nginx.conf")
	s.answers = s.ready
	s.proc = process{
		t: t, name: "nginx", owner: own, stopSig: syscall.SIGTERM,
		logFile: filepath.Join(s.root, "nginx.log"),
		argv:    []string{program, "-p", s.root, "-c", config, "-e", "stderr"},
	}
	ca := newCA(t, s.root)
	s.CAFile = ca.CertFile
	s.cert, s.key = ca.Issue("server")
	t.Cleanup(s.proc.kill)
	s.firstStart(func() (err error) {
		if s.Addr, s.TLSAddr, err = takeAddresses(o.ports); err != nil {
			return err
		}
		text, err := s.text(o)
		if err != nil {
			return err
		}
		return s.writeAll(s.root, config, text)
	})
	return s
}

// text is the configuration file.
func (s *NginxServer) text(o NginxOptions) (string, error) {
	if strings.ContainsAny(o.Body, "\"\\$\r\n\x00") {
		return "", fmt.Errorf("the body %q cannot stand in nginx.conf", o.Body)
	}
	return fmt.Sprintf(`daemon off;
worker_processes 1;
pid %[1]s/nginx.pid;
error_log stderr notice;
events { worker_connections 200; }
http {
 access_log off;
 default_type text/plain;
 client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi;
 uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
 server {
  listen %[2]s;
  listen %[3]s ssl;
  ssl_certificate %[4]s;
  ssl_certificate_key %[5]s;
  location = /%[6]s { return 200 "%[6]s"; }
  location / { return 200 "%[7]s"; }
  %[8]s
 }
}
`, s.root, s.Addr, s.TLSAddr, s.cert, s.key, s.token, o.Body, o.Config), nil
}

func (s *NginxServer) ready(ctx context.Context) error { return tokenPage(ctx, s.Addr, s.token) }
