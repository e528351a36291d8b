package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"switchpoint/admin"
	"switchpoint/internal/covers"
	"switchpoint/lb"
)

// What happens under load: so often, in so many equal steps.
const (
	loadReloads = 100
	loadKills   = 20
	loadDrains  = 20
	loadTime    = 20 * time.Second
	// maxLost is the part of the requests that may fail: those in flight on a fresh connection to a
	// member that was killed, which it may have processed.
	maxLost = 1e-4
)

var loadMachines = map[string]string{
	"lb": "192.0.2.10", "pc": "198.51.100.7",
	"b1": "192.0.2.21", "b2": "192.0.2.22", "b3": "192.0.2.23", "b4": "192.0.2.24", "b5": "192.0.2.25",
}

// loadMembers: the first three are killed and drained in turns, the last one comes and goes with
// reloads, and the fourth is there always, so that there is somebody to go to.
var loadMembers = []string{"b1", "b2", "b3", "b4", "b5"}

const loadConfig = `
[node]
name = "lb"
datacenter = "us"
state_dir = STATE

[[datacenter]]
name = "us"

[[monitor]]
name = "is_alive"
kind = "http"
interval = "1s"
timeout = "900ms"
fall = 2
rise = 1

[[lb.listener]]
name = "web"
listen = "0.0.0.0:80"
pool = "brokers"
access_log = LOG
access_log_sample = 1000000

[[lb.pool]]
name = "brokers"
lb_method = METHOD
monitor = "is_alive"
persistence = "none"
slow_start = "1s"
members = [MEMBERS]
`

// underLoad is a balancer as a process with members that are processes, under the load of wrk.
type underLoad struct {
	*company
	node    *admin.Client
	ops     sync.WaitGroup
	members map[string]*process // only killMember changes them
}

// TestReloadsKillsDrains: 100 reloads, 20 members killed and 20 drained while wrk asks as fast as it
// can, and no request fails but for those that were on a fresh connection to a killed member.
func TestReloadsKillsDrains(t *testing.T) {
	covers.Req(t, "LB7")
	u := &underLoad{company: newCompany(t, loadMachines), members: map[string]*process{}}
	for _, m := range loadMembers {
		if err := u.startMember(m); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, m := range u.members {
			m.kill()
		}
	})
	u.writeConfig(0)
	p := u.launch("lb", asMain+"=1", "run", "-c", filepath.Join(u.etc("lb"), "lb.toml"), "--until-eof")
	p.socket = filepath.Join(u.state("lb"), admin.SocketName)
	u.node = admin.NewClient(p.socket)
	u.awaitReady("lb")

	wrk, out := u.startWrk()
	began := time.Now()
	u.every(loadReloads, u.reload)
	u.every(loadKills, u.killMember)
	u.every(loadDrains, u.drainMember)
	u.ops.Wait()
	took := time.Since(began)
	if err := errors.Join(wrk.Process.Signal(os.Interrupt), wrk.Wait()); err != nil {
		t.Fatalf("wrk: %v\n%s", err, out)
	}
	requests, failed := wrkCounts(t, out.String())
	t.Logf("%d requests in %s, %d failed; %d reloads, %d kills, %d drains; %s", requests, took.Round(time.Second), failed, loadReloads, loadKills, loadDrains, u.counts())
	if failed > 0 {
		t.Logf("the first of them in the access log:\n%s", u.sh("lb", "grep -v '\"status\":200' "+u.accessLog()+" | head -n 20"))
	}
	if requests < 1000 || float64(failed) > maxLost*float64(requests) {
		t.Errorf("%d of %d requests failed:\n%s", failed, requests, out)
	}
	if broken := u.count("switchpoint_lb_member_failures_total", `kind="broken"`); failed > broken {
		t.Errorf("%d requests failed, only %d of them on a member that broke the connection:\n%s", failed, broken, out)
	}
}

// startWrk lets wrk ask for longer than all of this takes; an interrupt makes it tell its counts.
func (u *underLoad) startWrk() (*exec.Cmd, *bytes.Buffer) {
	u.t.Helper()
	out := &bytes.Buffer{}
	cmd := u.host("pc").Command(u.t.Context(), "wrk", "-t1", "-c16", "-d600s", "--timeout", "10s", "http://"+u.machines["lb"]+"/")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		u.t.Fatal(err)
	}
	return cmd, out
}

// every does something so often, evenly over the time if the machine is fast enough.
func (u *underLoad) every(times int, do func(i int) error) {
	u.ops.Go(func() {
		tick := time.NewTicker(loadTime / time.Duration(times))
		defer tick.Stop()
		for i := range times {
			<-tick.C
			if err := do(i); err != nil {
				u.t.Error(err)
				return
			}
		}
	})
}

// loadNginx is a member: one small process, which is gone at once when it is killed.
const loadNginx = `
daemon off;
master_process off;
pid DIR/NAME.pid;
error_log stderr;
events { worker_connections 512; }
http {
	access_log off;
	client_body_temp_path DIR/NAME-body; proxy_temp_path DIR/NAME-proxy; fastcgi_temp_path DIR/NAME-fastcgi;
	uwsgi_temp_path DIR/NAME-uwsgi; scgi_temp_path DIR/NAME-scgi;
	server {
		listen 80;
		location / { return 200 "NAME"; }
		location /index.pl { return 200 "CB_IS_OKAY"; }
	}
}
`

// startMember runs an nginx on the member's host.
func (u *underLoad) startMember(name string) error {
	file := filepath.Join(u.state(name), "nginx.conf")
	text := strings.NewReplacer("DIR", u.state(name), "NAME", name).Replace(loadNginx)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	p := &process{name: name, done: make(chan struct{}), cmd: u.host(name).Command(context.Background(), "nginx", "-e", "stderr", "-p", u.state(name), "-c", file)}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	u.members[name] = p
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(u.host(name).Addr().String(), "80"), time.Second)
		if err == nil {
			return conn.Close()
		}
		if !p.running() || time.Now().After(end) {
			return fmt.Errorf("%s does not serve: %w (%w)", name, err, p.err)
		}
	}
}

// writeConfig writes a configuration that differs from the one before: in the method, in weights and
// limits, and every other time in its members.
func (u *underLoad) writeConfig(i int) {
	methods := []string{"least-response-time", "round-robin", "least-connections", "netscaler-least-response-time"}
	var members []string
	for k, m := range loadMembers {
		if m == "b5" && i%2 == 1 {
			continue
		}
		members = append(members, fmt.Sprintf("{ name = %q, address = %q, weight = %d }", m, u.machines[m]+":80", 1+(i+k)%3))
	}
	text := strings.NewReplacer("STATE", strconv.Quote(u.state("lb")), "LOG", strconv.Quote(u.accessLog()), "METHOD", strconv.Quote(methods[i%len(methods)]), "MEMBERS", strings.Join(members, ", ")).Replace(loadConfig)
	if err := os.WriteFile(filepath.Join(u.etc("lb"), "lb.toml"), []byte(text), 0o600); err != nil {
		u.t.Error(err)
	}
}

// accessLog has the requests that failed, and few others.
func (u *underLoad) accessLog() string { return filepath.Join(u.state("lb"), "access.json") }

func (u *underLoad) reload(i int) error {
	u.writeConfig(i + 1)
	if err := u.node.Do(u.t.Context(), http.MethodPost, "reload", nil, nil); err != nil {
		return fmt.Errorf("reload %d: %w", i, err)
	}
	return nil
}

// killMember kills a member as a crash would, and starts it again after a while.
func (u *underLoad) killMember(i int) error {
	name := loadMembers[i%3]
	u.members[name].kill()
	time.Sleep(300 * time.Millisecond)
	return u.startMember(name)
}

// drainMember drains a member that is not the next to be killed, and takes it back after a while.
func (u *underLoad) drainMember(i int) error {
	w := lb.Word{Pool: "brokers", Member: loadMembers[(i+1)%3], Do: lb.Drain, Owner: "test", Reason: "load"}
	for _, w.Do = range []string{lb.Drain, lb.Enable} {
		body, err := json.Marshal(w)
		if err == nil {
			err = u.node.Do(u.t.Context(), http.MethodPost, "lb/say", body, nil)
		}
		if err != nil {
			return fmt.Errorf("%s %d: %w", w.Do, i, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
	return nil
}

var (
	wrkRequests = regexp.MustCompile(`(\d+) requests in `)
	wrkStatus   = regexp.MustCompile(`Non-2xx or 3xx responses: (\d+)`)
	wrkErrors   = regexp.MustCompile(`Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)`)
)

// wrkCounts reads what wrk prints.
func wrkCounts(t *testing.T, out string) (requests, failed int) {
	t.Helper()
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("%v in\n%s", err, out)
		}
		return n
	}
	m := wrkRequests.FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("wrk counted nothing:\n%s", out)
	}
	requests = number(m[1])
	for _, form := range []*regexp.Regexp{wrkStatus, wrkErrors} {
		if m := form.FindStringSubmatch(out); m != nil {
			for _, n := range m[1:] {
				failed += number(n)
			}
		}
	}
	return requests, failed
}

// count sums a metric of the balancer over its series with a label.
func (u *underLoad) count(name, label string) (sum int) {
	u.t.Helper()
	metrics := u.sh("lb", "curl -s --unix-socket "+pageState+"/admin.sock http://node/metrics")
	for line := range strings.Lines(metrics) {
		if !strings.HasPrefix(line, name+"{") || !strings.Contains(line, label) {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' '):]), 64)
		if err != nil {
			u.t.Error(errors.New(line))
		}
		sum += int(v)
	}
	return sum
}

// counts tells what the balancer saw of it.
func (u *underLoad) counts() string {
	kinds := []string{}
	for _, kind := range []string{"connect", "stale", "broken", "timeout", "answer"} {
		kinds = append(kinds, fmt.Sprintf("%s %d", kind, u.count("switchpoint_lb_member_failures_total", `kind="`+kind+`"`)))
	}
	return fmt.Sprintf("failed attempts at members: %s; retries: %d", strings.Join(kinds, ", "), u.count("switchpoint_lb_retries_total", ""))
}
