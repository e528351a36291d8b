package realserver

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// ApacheOptions describes an Apache HTTP server.
type ApacheOptions struct {
	// Body is the answer to every request that Config says nothing of; default "CB_IS_OKAY".
	Body string
	// Config is put into the virtual host. The modules alias, proxy, proxy_http and those that
	// Apache cannot do without are loaded.
	Config string

	ports func() (int, error) // for tests; nil = freePort
}

// ApacheServer is a running Apache httpd with the event module and one child process. It speaks
// plain HTTP only.
type ApacheServer struct {
	Addr string // 127.0.0.1:PORT

	server
	token   string // only our server answers with it
	root    string
	modules string
}

// Apache starts an Apache HTTP server for the length of the test.
func Apache(t testing.TB, o ApacheOptions) *ApacheServer {
	t.Helper()
	if o.Body == "" {
		o.Body = "CB_IS_OKAY"
	}
	if o.ports == nil {
		o.ports = freePort
	}
	program := findProgram(t, "apache2", "/usr/sbin", "/usr/local/sbin")
	own, err := serverOwner("www-data")
	if err != nil {
		t.Fatal(err)
	}
	s := &ApacheServer{token: rand.Text(), root: newRoot(t, "apache"), modules: "/usr/lib/apache2/modules"}
	config := filepath.Join(s.root, "apache.conf")
	s.answers = s.ready
	s.proc = process{
		t: t, name: "apache2", owner: own, stopSig: syscall.SIGTERM,
		logFile: filepath.Join(s.root, "apache.log"),
		argv:    []string{program, "-D", "FOREGROUND", "-d", s.root, "-f", config},
	}
	// Apache opens its log itself, as its own user; what it says before goes to its output, which
	// is the same file.
	for name, text := range map[string]string{"page": o.Body, "token": s.token, "apache.log": ""} {
		if err := os.WriteFile(filepath.Join(s.root, name), []byte(text), 0o600); err != nil {
			t.Fatalf("prepare apache: %v", err)
		}
	}
	t.Cleanup(s.proc.kill)
	s.firstStart(func() error {
		port, err := o.ports()
		if err != nil {
			return err
		}
		s.Addr = local(port)
		return s.writeAll(s.root, config, s.text(o))
	})
	return s
}

// text is the configuration file. Apache writes its process id to a file whatever it is told.
func (s *ApacheServer) text(o ApacheOptions) string {
	var b strings.Builder
	for _, name := range []string{"mpm_event", "authz_core", "alias", "proxy", "proxy_http"} {
		fmt.Fprintf(&b, "LoadModule %s_module %s/mod_%s.so\n", name, s.modules, name)
	}
	fmt.Fprintf(&b, `Listen %[1]s
ServerName localhost
PidFile %[2]s/apache.pid
DefaultRuntimeDir %[2]s
ErrorLog %[2]s/apache.log
LogLevel notice
StartServers 1
ServerLimit 1
ThreadLimit 16
ThreadsPerChild 16
MaxRequestWorkers 16
MinSpareThreads 1
MaxSpareThreads 16
<Directory %[2]s>
 Require all granted
</Directory>
<VirtualHost %[1]s>
 ProxyPass /%[4]s !
 %[3]s
 Alias /%[4]s %[2]s/token
 AliasMatch ^ %[2]s/page
</VirtualHost>
`, s.Addr, s.root, o.Config, s.token)
	return b.String()
}

func (s *ApacheServer) ready(ctx context.Context) error { return tokenPage(ctx, s.Addr, s.token) }
