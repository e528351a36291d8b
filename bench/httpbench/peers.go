package httpbench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Settings that are the same for all proxies.
const (
	// logSample: one request in so many is logged.
	logSample = 100
	// maxClients is what the proxies are told to expect.
	maxClients = 12000
	ours       = "switchpoint"
	haproxy    = "haproxy"
	nginx      = "nginx"
)

// find looks for a peer's program also where administrators' programs are.
func find(name, debian string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin"} {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed: run `make deps`, or apt-get install %s", name, debian)
}

// programs are the peers as installed.
type programs struct{ haproxy, nginx, wrk string }

func findPrograms() (programs, error) {
	var p programs
	var errs [3]error
	p.haproxy, errs[0] = find("haproxy", "haproxy")
	p.nginx, errs[1] = find("nginx", "nginx-light")
	p.wrk, errs[2] = find("wrk", "wrk")
	return p, errors.Join(errs[:]...)
}

// version runs a program for the first line that holds word.
func version(ctx context.Context, word string, argv ...string) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	//nolint:gosec // G204: programs that find found
	out, _ := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput() // wrk -v ends with status 1
	for line := range strings.Lines(string(out)) {
		if _, rest, ok := strings.Cut(line, word); ok {
			if fields := strings.Fields(rest); len(fields) > 0 {
				return fields[0]
			}
		}
	}
	return "unknown"
}

// haproxyClients is how many clients HAProxy can be told to expect: it wants two descriptors for
// each and does not start without them.
func (s *stage) haproxyClients() int {
	return min(maxClients, int(s.descriptors/2)-100)
}

// haproxyConfig is HAProxy with persistence by source address, health checks and a sampled log.
func (s *stage) haproxyConfig(v *server) string {
	var b strings.Builder
	fmt.Fprintf(&b, `global
 nbthread 1
 maxconn %[1]d
 maxpipes 16
 ulimit-n %[2]d
 stats socket %[3]s mode 600
 tune.ssl.default-dh-param 2048
 ssl-default-bind-options ssl-min-ver TLSv1.2
 log stdout format raw local0
defaults
 log global
 timeout connect 1s
 timeout client 75s
 timeout server 130s
 timeout http-request 60s
frontend web
 mode http
 option httplog
 option forwardfor
 option http-keep-alive
 # Cheaper than sampling in the log line, where each line is made before it is dropped.
 http-request set-log-level silent if { rand(%[4]d) gt 0 }
 bind %[5]s
 bind %[6]s ssl crt %[7]s alpn http/1.1
 default_backend members
backend members
 mode http
 option forwardfor
 http-reuse always
 balance leastconn
 stick-table type ip size 100k expire 300s
 stick on src
 option httpchk GET %[8]s
 server a %[9]s check inter 5s
 server b %[10]s check inter 5s
`, s.haproxyClients(), s.descriptors, s.file("haproxy.sock"), logSample, v.plain, v.secure, s.file("both.pem"), alivePath, s.members[0], s.members[1])
	fmt.Fprintf(&b, `frontend streams
 mode tcp
 option tcplog
 bind %s
 default_backend source
backend source
 mode tcp
 option splice-auto
 server s %s
`, v.streams, s.source)
	return b.String()
}

// nginxFrame is what upstream and proxy have in common.
func (s *stage) nginxFrame(v *server, rest string) string {
	user := ""
	if os.Geteuid() == 0 {
		user = "user root root;\n" // its files lie in our directory
	}
	return fmt.Sprintf(`daemon off;
%[1]sworker_processes 1;
worker_rlimit_nofile %[2]d;
pid %[3]s.pid;
error_log stderr crit;
events { worker_connections %[4]d; }
http {
 default_type text/plain;
 keepalive_requests 1000000000;
 keepalive_timeout 75s;
 client_header_timeout 60s;
 client_body_temp_path %[3]s.body; proxy_temp_path %[3]s.proxy; fastcgi_temp_path %[3]s.fastcgi;
 uwsgi_temp_path %[3]s.uwsgi; scgi_temp_path %[3]s.scgi;
%[5]s}
`, user, s.descriptors, s.file(v.name), min(uint64(2*maxClients), s.descriptors*9/10), rest)
}

// upstreamConfig serves two addresses, so that the proxies have something to choose from.
func (s *stage) upstreamConfig(v *server) string {
	return s.nginxFrame(v, fmt.Sprintf(` access_log off;
 sendfile on;
 tcp_nopush on;
 open_file_cache max=100;
 open_file_cache_valid 1h;
 server {
  listen %s;
  listen %s;
  root %s;
  location = %s { return 200 "CB_IS_OKAY"; }
  location = %s { return 200 "taken"; }
 }
`, s.members[0], s.members[1], s.file("www"), alivePath, postPath))
}

// nginxConfig is nginx as a proxy. Answers of all rows fit its buffers: it never writes them to disk.
func (s *stage) nginxConfig(v *server) string {
	return s.nginxFrame(v, fmt.Sprintf(` split_clients "$connection.$connection_requests" $logged { %[1]g%% 1; * 0; }
 access_log %[2]s combined buffer=64k flush=1s if=$logged;
 ssl_protocols TLSv1.2 TLSv1.3;
 upstream members {
  ip_hash;
  server %[3]s;
  server %[4]s;
  keepalive 512;
  keepalive_requests 1000000000;
 }
 server {
  listen %[5]s;
  listen %[6]s ssl;
  ssl_certificate %[7]s;
  ssl_certificate_key %[8]s;
  location / {
   proxy_pass http://members;
   proxy_http_version 1.1;
   proxy_set_header Connection "";
   proxy_set_header Host $http_host;
   proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
   proxy_buffer_size 16k;
   proxy_buffers 8 16k;
   proxy_busy_buffers_size 64k;
  }
 }
`, 100.0/logSample, s.file("nginx.access"), s.members[0], s.members[1], v.plain, v.secure, s.cert, s.key))
}
