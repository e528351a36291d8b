package lb

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"switchpoint/internal/covers"
	"switchpoint/lb/choice"
)

// loggedLines reads an access log once it has at least n whole lines.
func loggedLines(t *testing.T, path string, n int) []map[string]any {
	t.Helper()
	var text []byte
	eventually(t, fmt.Sprintf("%d lines in %s", n, path), func() bool {
		var err error
		if text, err = os.ReadFile(path); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return bytes.Count(text, []byte("\n")) >= n
	})
	var out []map[string]any
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		line := map[string]any{}
		if err := json.Unmarshal(s.Bytes(), &line); err != nil {
			t.Fatalf("%q: %v", s.Text(), err)
		}
		out = append(out, line)
	}
	return out
}

// loggingConfig logs all requests to the file that it gives, too.
func loggingConfig(t *testing.T, ms []Member) (cfg Config, path string) {
	path = filepath.Join(t.TempDir(), "access.log")
	cfg = plainConfig(ms)
	cfg.Listeners[0].AccessLog, cfg.Listeners[0].RequestID = path, ""
	return cfg, path
}

// TestAccessLog: what a line says of requests that were answered, refused and failed; the last
// ones before the end are written, too.
func TestAccessLog(t *testing.T) {
	covers.Req(t, "LB1")
	a := startBackend(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/large" {
			_, _ = w.Write(make([]byte, 200_000))
			return
		}
		n, _ := io.Copy(io.Discard, req.Body)
		w.WriteHeader(201)
		_, _ = fmt.Fprintf(w, "%010d", n)
	}))
	ca := newAuthority(t)
	cfg, path := loggingConfig(t, members(a))
	cfg.Listeners[0].Name, cfg.Pools[0].Name = `fr"ont`, "brokers"
	secure := cfg.Listeners[0]
	secure.Name = "secure"
	secure.Cert, secure.Key = ca.issue(t, "lb", 7, "127.0.0.1")
	cfg.Listeners = append(cfg.Listeners, secure)
	cfg.Pools = append(cfg.Pools, Pool{Name: "empty", Members: []Member{{Name: "gone", Address: "127.0.0.1:1"}}})
	cfg.Listeners[0].Routes = []Route{{Path: "/gone", Pool: "empty"}, {Path: "/moved", Redirect: "https://x.com"}}
	r := start(t, cfg)
	raw(t, r.addr, "POST /a\"b\\c%20;v=SECRET?q=SECRET HTTP/1.1\r\nHost: cb.company.com:81\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
	raw(t, r.addr, "GET /large HTTP/1.1\r\nHost: x\r\n\r\nHEAD /head HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	raw(t, r.addr, "GET /gone HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	raw(t, r.addr, "GET /moved HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	raw(t, r.addr, "GET / HTTP/1.1\r\nHost: a\r\nHost: SECRET\r\n\r\n")
	raw(t, r.addr, "GET /index.pl?action=is_alive HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	resp, err := client(t, &tls.Config{RootCAs: ca.pool()}).Get("https://" + r.Addr()["secure"].String() + "/tls")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	lines := loggedLines(t, path, 8)
	if len(lines) != 8 {
		t.Fatalf("%d lines", len(lines))
	}
	// Lines of different connections may come in any order.
	find := func(key string, value any) map[string]any {
		for _, l := range lines {
			if l[key] == value {
				return l
			}
		}
		t.Errorf("no line with %s = %v in %v", key, value, lines)
		return nil
	}
	check := func(line map[string]any, want map[string]any) {
		t.Helper()
		for k, v := range want {
			if line[k] != v {
				t.Errorf("%s is %v, want %v in %v", k, line[k], v, line)
			}
		}
	}
	post := find("method", "POST")
	check(post, map[string]any{"listener": `fr"ont`, "client": "127.0.0.1", "path": `/a"b\c%20`, "host": "cb.company.com:81", "status": 201.0,
		"bytes_in": 5.0, "bytes_out": 10.0, "pool": "brokers", "member": "a", "retries": 0.0, "picked": choice.ByMethod.String(), "tls": nil, "refused": nil})
	at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(post["time"]))
	if err != nil || time.Since(at) > time.Minute || time.Since(at) < 0 {
		t.Errorf("time %v %v", post["time"], err)
	}
	if took, first := post["duration_ms"].(float64), post["ttfb_ms"].(float64); took <= 0 || first <= 0 || first > took {
		t.Errorf("took %v, first byte after %v", took, first)
	}
	if id, ok := post["id"].(string); !ok || !strings.HasSuffix(id, "-1") {
		t.Errorf("id %v", post["id"])
	}
	check(find("path", "/large"), map[string]any{"bytes_out": 200_000.0, "method": "GET"})
	check(find("path", "/head"), map[string]any{"bytes_out": 0.0, "status": 201.0})
	check(find("path", "/gone"), map[string]any{"status": 503.0, "refused": "no server of this pool could be reached"})
	check(find("path", "/moved"), map[string]any{"status": 308.0, "refused": nil, "member": nil})
	check(find("refused", errHost.text), map[string]any{"status": 400.0})
	check(find("path", "/index.pl"), map[string]any{"status": 200.0})
	check(find("listener", "secure"), map[string]any{"tls": "TLS 1.3", "path": "/tls"})
}

// TestAccessLogSample: one of so many is logged, and everything that failed.
func TestAccessLogSample(t *testing.T) {
	cfg, path := loggingConfig(t, members(startBackend(t, says("a"))))
	cfg.Listeners[0].AccessLogSample = 10
	r := start(t, cfg)
	c := client(t, nil)
	for range 100 {
		get(t, c, "http://"+r.addr+"/")
	}
	for range 7 {
		raw(t, r.addr, "GET / HTTP/1.1\r\n\r\n")
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if lines := loggedLines(t, path, 17); len(lines) != 17 {
		t.Errorf("%d lines", len(lines))
	}
}

// TestAccessLogFiles: a file that was moved away is followed by a new one, and a reload takes
// another file, without a line lost.
func TestAccessLogFiles(t *testing.T) {
	covers.Req(t, "LB1")
	cfg, path := loggingConfig(t, members(startBackend(t, says("a"))))
	r := start(t, cfg)
	c := client(t, nil)
	get(t, c, "http://"+r.addr+"/1")
	loggedLines(t, path, 1)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	get(t, c, "http://"+r.addr+"/2")
	get(t, c, "http://"+r.addr+"/3")
	loggedLines(t, path, 2)
	if lines := loggedLines(t, path+".1", 1); len(lines) != 1 || lines[0]["path"] != "/1" {
		t.Errorf("the old file has %v", lines)
	}
	other := cfg
	other.Listeners = []Listener{cfg.Listeners[0]}
	other.Listeners[0].AccessLog = path + ".other"
	r.reload(other)
	get(t, c, "http://"+r.addr+"/4")
	loggedLines(t, path+".other", 1)
	eventually(t, "the file that nobody names is closed", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.logs) == 1
	})
	if lines := loggedLines(t, path, 2); len(lines) != 2 {
		t.Errorf("the first file has %v", lines)
	}
	none := cfg
	none.Listeners = []Listener{cfg.Listeners[0]}
	none.Listeners[0].AccessLog = ""
	r.reload(none)
	get(t, c, "http://"+r.addr+"/5")
	r.reload(cfg)
	get(t, c, "http://"+r.addr+"/6")
	if lines := loggedLines(t, path, 3); lines[2]["path"] != "/6" {
		t.Errorf("the first file has %v", lines)
	}
}

// TestAccessLogFullDisk: on a full disk requests go on, the fault is said once, and what is lost
// is counted; with room there, lines are written again.
func TestAccessLogFullDisk(t *testing.T) {
	covers.Req(t, "LB1")
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Fatalf("a device that is always full is needed: %v", err)
	}
	cfg, path := loggingConfig(t, members(startBackend(t, says("a"))))
	if err := os.Symlink("/dev/full", path); err != nil {
		t.Fatal(err)
	}
	var said syncBuffer
	r := start(t, cfg, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&said, nil)) })
	lost := func() float64 { return testutil.ToFloat64(r.metrics.logLost.WithLabelValues(lostWrite)) }
	c := client(t, nil)
	for n := range 3 {
		if _, got := get(t, c, "http://"+r.addr+"/"); got != "a" {
			t.Errorf("got %q", got)
		}
		eventually(t, "the loss is counted", func() bool { return lost() == float64(n+1) })
	}
	if n := strings.Count(said.String(), "level=ERROR"); n != 1 || !strings.Contains(said.String(), "no space left") {
		t.Errorf("said %d times: %s", n, said.String())
	}

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	get(t, c, "http://"+r.addr+"/again")
	if lines := loggedLines(t, path, 1); len(lines) != 1 || lines[0]["path"] != "/again" {
		t.Errorf("the file has %v", lines)
	}
	eventually(t, "it is said", func() bool { return strings.Contains(said.String(), "written again") })
	if n := lost(); n != 3 {
		t.Errorf("%v lines are counted as lost", n)
	}
}

// TestAccessLogNeverBlocks: with nobody who writes, lines are counted as lost and requests go on.
func TestAccessLogNeverBlocks(t *testing.T) {
	busy := prometheus.NewCounter(prometheus.CounterOpts{Name: "busy"})
	wake := make(chan struct{}, 1)
	l := &accessLog{wake: wake, busy: busy}
	line := bytes.Repeat([]byte("x"), 1024)
	for range maxLogShard/len(line) + 5 {
		l.add(3, line)
	}
	if n := testutil.ToFloat64(busy); n != 5 || len(wake) != 1 {
		t.Errorf("%v are counted as lost, %d wake-ups", n, len(wake))
	}
	l.add(4, line) // another shard has room
	if n := testutil.ToFloat64(busy); n != 5 {
		t.Errorf("%v are counted as lost", n)
	}
}

// TestLogLine: a line costs no allocation, and nothing that could break it gets in.
func TestLogLine(t *testing.T) {
	l := &liveListener{listenerTable: listenerTable{logSample: 1}, log: &accessLog{}, jsonName: jsonOf("front")}
	r := &logged{client: &clientConn{peer: loopback, number: 1}, at: time.Unix(1e9, 123456789), id: []byte("id-1"), method: []byte("GET"), host: []byte("h"),
		path: append([]byte("/\x00\xff\"\\"), bytes.Repeat([]byte("p"), 5000)...), status: 200, pool: jsonOf("p\"\n"), member: jsonOf("m"), ttfb: 1234567 * time.Nanosecond}
	r.took = 2*time.Second + 5*time.Microsecond
	line := l.write(r, nil)
	var got map[string]any
	if err := json.Unmarshal(line, &got); err != nil || bytes.Count(line, []byte("\n")) != 1 {
		t.Fatalf("%v in %q", err, line)
	}
	if got["time"] != "2001-09-09T01:46:40.123456Z" || got["ttfb_ms"] != 1.234 || got["duration_ms"] != 2000.005 || got["pool"] != "p\"\n" ||
		!strings.HasPrefix(got["path"].(string), `/??"\ppp`) || len(got["path"].(string)) != maxLogPath {
		t.Errorf("%v", got)
	}
	for i := range l.log.shards {
		l.log.shards[i].buf = make([]byte, 0, 2*maxLogShard)
	}
	if n := testing.AllocsPerRun(100, func() { line = l.write(r, line) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestNoSecretsInLogs: what clients and members send as fields, queries and bodies is in no log,
// whatever happens to the request.
func TestNoSecretsInLogs(t *testing.T) {
	covers.Req(t, "LB6", "LB1")
	a := startBackend(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Set-Cookie", "s=SECRET")
		w.Header().Set("X-SECRET", "SECRET")
		if req.URL.Path == "/fail" {
			w.WriteHeader(500)
		}
		_, _ = io.WriteString(w, "SECRET")
	}))
	broken := rawBackend(t, func(int, string) string { return "HTTP/1.1 200 OK\r\nX-SECRET\r\n\r\n" })
	cfg, path := loggingConfig(t, members(a))
	cfg.Pools = append(cfg.Pools, Pool{Name: "broken", Members: []Member{{Address: broken}}}, Pool{Name: "none", Members: []Member{{Address: "127.0.0.1:1"}}})
	cfg.Listeners[0].Forwarded = true
	cfg.Listeners[0].Routes = []Route{{Path: "/broken", Pool: "broken"}, {Path: "/none", Pool: "none"}, {Path: "/moved", Redirect: "https://x.com"}}
	var said syncBuffer
	r := start(t, cfg, func(o *Options) {
		o.Log = slog.New(slog.NewJSONHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	const secret = "Authorization: Basic SECRET\r\nCookie: SECRET=SECRET\r\nX-Request-Id: SECRET\r\nX-Forwarded-For: SECRET\r\nForwarded: for=SECRET\r\nX-SECRET: SECRET\r\n"
	n := 0
	for _, path := range []string{"/", "/fail", "/broken", "/none", "/moved", "/index.pl", "/api/v1/login/sw1.3.SECRET"} {
		for _, body := range []string{"Content-Length: 6\r\n\r\nSECRET", "Transfer-Encoding: chunked\r\n\r\n6\r\nSECRET\r\n0\r\n\r\n", "Content-Length: SECRET\r\n\r\n"} {
			raw(t, r.addr, "POST "+path+"?p=SECRET;SECRET HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"+secret+body)
			n++
		}
	}
	for _, bad := range []string{"SECRET\r\n\r\n", "GET /SECRET SECRET HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: SECRET@x\r\n\r\n", "GET http://user:SECRET@x/ HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET / HTTP/9.9\r\nX: SECRET\r\n\r\n", "SECRET / HTTP/1.1\r\nSECRET\r\n\r\n"} {
		raw(t, r.addr, bad)
		n++
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if lines := loggedLines(t, path, n); len(lines) != n {
		t.Errorf("%d lines for %d requests", len(lines), n)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, log := range map[string]string{"access log": string(text), "log": said.String()} {
		if i := strings.Index(log, "SECRET"); i >= 0 {
			t.Errorf("the %s has %q", name, log[max(0, i-200):i+10])
		}
	}
	if said.String() == "" {
		t.Error("nothing was logged, so nothing is shown")
	}
}
