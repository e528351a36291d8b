package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"switchpoint/internal/covers"
)

// TestOperateTheDemo looks at one running demo as an admin would.
func TestOperateTheDemo(t *testing.T) {
	s := newStage(t, stageOptions{})
	t.Run("dig", func(t *testing.T) { digs(t, s) })
	t.Run("is_alive", func(t *testing.T) { alivePages(t, s) })
	t.Run("bad requests", func(t *testing.T) { badRequests(t, s) })
	t.Run("commands", func(t *testing.T) { commands(t, s) })
	t.Run("apply", func(t *testing.T) { applies(t, s) })
	t.Run("second process", func(t *testing.T) { secondProcess(t, s) })
	t.Run("reload", func(t *testing.T) { reloads(t, s) })
	t.Run("goroutines of a drained process", func(t *testing.T) { drains(t, s) })
}

// digs asks with the real dig, over UDP and TCP, as the two clients. SRV weights are the capacity
// that the balancers report, so they are not compared.
func digs(t *testing.T, s *stage) {
	port := strconv.Itoa(s.ports[portDNS])
	lbPort := strconv.Itoa(s.ports[portLB])
	for _, transport := range []string{"+notcp", "+tcp"} {
		dig := func(source string, question ...string) string {
			args := append([]string{"@127.0.1.53", "-p", port, "-b", source, transport, "+noall", "+answer", "+additional", "+time=2"}, question...)
			out, err := exec.Command("dig", args...).CombinedOutput()
			if err != nil {
				t.Fatalf("dig %v: %v\n%s", args, err, out)
			}
			return strings.Join(strings.Fields(string(out)), " ")
		}
		for _, c := range []struct{ source, name, qtype, want string }{
			{clientUS, "cb.company.com", "A", "cb.company.com. 5 IN A 127.0.1.80"},
			{clientUK, "cb.company.com", "A", "cb.company.com. 5 IN A 127.0.2.80"},
			{clientUS, "_connection_broker._tcp.company.com", "SRV", `IN SRV 0 \d+ ` + lbPort + " lb.us.company.com."},
			{clientUS, "_connection_broker._tcp.company.com", "SRV", `IN SRV 10 \d+ ` + lbPort + " lb.uk.company.com."},
			{clientUK, "_connection_broker._tcp.company.com", "SRV", `IN SRV 10 \d+ ` + lbPort + " lb.us.company.com."},
			{clientUK, "_connection_broker._tcp.company.com", "SRV", "lb.uk.company.com. 5 IN A 127.0.2.80"},
			{clientUK, "_connection_broker.company.com", "SRV", lbPort + " cb.company.com."},
			{clientUK, "_connection_broker.company.com", "SRV", "cb.company.com. 5 IN A 127.0.2.80"},
		} {
			if got := dig(c.source, c.name, c.qtype); !regexp.MustCompile(c.want).MatchString(got) {
				t.Errorf("%s %s %s from %s: %s\nwant %s", transport, c.name, c.qtype, c.source, got, c.want)
			}
		}
	}
}

// trust is a TLS configuration with the demo's CA.
func trust(t *testing.T, s *stage) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(s.path("certs", "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

// alivePages asks a balancer and a broker in every form that old monitors use (AL1, AL4).
func alivePages(t *testing.T, s *stage) {
	covers.Req(t, "AL1", "AL4", "AL5")
	for _, address := range []string{s.address("127.0.2.80", portLB), s.address("127.0.2.11", portBroker)} {
		out, err := exec.Command("curl", "-sS", "-i", "--max-time", "5", "--cacert", s.path("certs", "ca.pem"),
			"https://"+address+"/index.pl?action=is_alive").CombinedOutput()
		if err != nil || !strings.Contains(string(out), " 200 ") || !strings.Contains(string(out), "CB_IS_OKAY") {
			t.Errorf("curl %s: %v\n%s", address, err, out)
		}
		for _, request := range []string{
			"GET /index.pl?action=is_alive\r\n", "GET /index.pl?action=is_alive\r\n\r\n", "GET /index.pl?action=cb_status\r\n",
			"GET /index.pl?action=is_alive HTTP/1.0\r\n\r\n", "GET /index.pl?action=is_alive HTTP/1.1\r\n\r\n",
		} {
			answer := rawTLS(t, s, address, request)
			if !strings.HasPrefix(answer, "HTTP/1.1 200 ") || !strings.Contains(answer, "X-Broker-Mode: normal\r\n") ||
				!strings.Contains(answer, "X-Broker-Capacity: ") || !strings.HasSuffix(answer, "\r\n\r\nCB_IS_OKAY") {
				t.Errorf("%q at %s: %q", request, address, answer)
			}
		}
	}
}

// rawTLS sends bytes and reads until the server closes.
func rawTLS(t *testing.T, s *stage, address, request string) string {
	t.Helper()
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 5 * time.Second}, Config: trust(t, s)}
	conn, err := d.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(15 * time.Second)); err != nil {
		t.Fatal(err)
	}
	// A server that has seen enough may close before all is written.
	_, _ = io.WriteString(conn, request)
	answer, _ := io.ReadAll(conn)
	return string(answer)
}

// badRequests: what nobody should send gets an error answer, and everything still works after.
func badRequests(t *testing.T, s *stage) {
	lb, broker := s.address("127.0.2.80", portLB), s.address("127.0.2.11", portBroker)
	for _, address := range []string{lb, broker} {
		huge := "GET / HTTP/1.1\r\nHost: x\r\nX-Big: " + strings.Repeat("a", 1<<20) + "\r\n\r\n"
		if answer := rawTLS(t, s, address, huge); answer != "" && !strings.HasPrefix(answer, "HTTP/1.1 4") {
			t.Errorf("1 MB header at %s: %.100q", address, answer)
		}
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: trust(t, s)}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	resp, err := client.Post("https://"+lb+"/api/v1/login", "application/json", strings.NewReader("user=bob"))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), `"reason"`) {
		t.Errorf("a login that is not JSON: %d %s", resp.StatusCode, body)
	}
	udp, err := net.Dial("udp", s.address("127.0.2.53", portDNS))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = udp.Close() }()
	for i := range 64 {
		junk := bytes.Repeat([]byte{byte(i*37 + 1)}, i*7)
		if _, err := udp.Write(junk); err != nil {
			t.Fatal(err)
		}
	}
	digs(t, s)
}

// commands are what the demo's map tells people to type.
func commands(t *testing.T, s *stage) {
	t.Setenv(passwordEnv, demoPassword("alice"))
	dns := s.address("127.0.2.53", portDNS)
	ca := s.path("certs", "ca.pem")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"login", "--url", s.signInURL(), "--dns", dns, "--source", clientUK, "--ca", ca, "--user", "alice"}, "desktop us-desk-1"},
		{[]string{"login", "--domain", "company.com", "--dns", dns, "--source", clientUS, "--ca", ca, "--user", "alice"}, "desktop us-desk-1"},
		{[]string{"login", "--url", s.signInURL(), "--dns", dns, "--ca", ca, "--user", "alice", "--offers"}, "us-desk-1"},
		{[]string{"explain", "--node", s.path("state", "uk-gtm"), "--client", clientUS, "--name", "cb.company.com"}, "127.0.1.0/24"},
		{[]string{"explain", "--node", s.path("state", "uk-lb"), "--client", clientUK}, "uk-broker-"},
		{[]string{"explain", "--node", s.path("state", "uk-broker-1"), "--user", "carol"}, "if_assigned_only"},
		{[]string{"health", "list", "--node", s.path("state", "uk-lb")}, s.address("127.0.2.11", portBroker)},
		{[]string{"probe", "--address", s.address("127.0.2.11", portBroker), "--ca", ca}, "is up"},
		{[]string{"probe", "-c", s.path("uk-lb.toml"), "--monitor", "is_alive", "--address", s.address("127.0.2.12", portBroker)}, "mode normal"},
		{[]string{"peer", "key", "-c", s.path("uk-broker-1.toml")}, "="},
		{[]string{"check", "-c", s.path("us-gtm.toml")}, "no problems"},
		{[]string{"status", "--node", s.path("state", "us-gtm")}, "us-gtm, data centre us, serving"},
	} {
		code, out, errOut := cli(t, c.args...)
		if code != 0 || !strings.Contains(out, c.want) {
			t.Errorf("%q: exit %d, want %q in\n%s%s", c.args, code, c.want, out, errOut)
		}
	}
	explainsRefusal(t, s)
}

// explainsRefusal: the reference of a refused login resolves on any broker of the cluster.
func explainsRefusal(t *testing.T, s *stage) {
	const password = "wrong-password-value"
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: trust(t, s)}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	resp, err := client.Post("https://"+s.address("127.0.2.80", portLB)+"/api/v1/login", "application/json",
		strings.NewReader(`{"user":"bob","password":"`+password+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	_, after, found := strings.Cut(strings.ReplaceAll(string(body), " ", ""), `"ref":"`)
	ref, _, _ := strings.Cut(after, `"`)
	if !found || ref == "" {
		t.Fatalf("no reference in %s", body)
	}
	code, out, errOut := cli(t, "explain", "--node", s.path("state", "uk-broker-2"), "--ref", ref)
	if code != 0 || !strings.Contains(out, "bob") || strings.Contains(out, password) {
		t.Errorf("exit %d\n%s%s", code, out, errOut)
	}
}

// applies changes the cluster's setup through one broker; the other one takes it up.
func applies(t *testing.T, s *stage) {
	file := s.path("uk.broker.toml")
	if code, out, errOut := cli(t, "apply", "-f", file, "--node", s.path("state", "uk-broker-1")); code != 0 || !strings.Contains(out, "0 changed") {
		t.Fatalf("the unchanged seed: exit %d\n%s%s", code, out, errOut)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	more := string(text) + "\n[[desktop]]\nname = \"uk-pool-9\"\npool = \"uk-pooled\"\nhost = \"uk-pool-9.uk.company.com\"\n"
	changed := s.path("changed.broker.toml")
	if err := os.WriteFile(changed, []byte(more), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		dry  string
		want string
	}{{"--dry-run=true", "1 would change"}, {"--dry-run=false", "1 changed"}, {"--dry-run=false", "0 changed"}} {
		code, out, errOut := cli(t, "apply", "-f", changed, "--node", s.path("state", "uk-broker-1"), c.dry)
		if code != 0 || !strings.Contains(out, c.want) {
			t.Errorf("%s: exit %d\n%s%s", c.dry, code, out, errOut)
		}
	}
	if err := os.WriteFile(changed, []byte(more+"\n[[assignment]]\nuser = \"bob\"\ndesktop = \"no-such\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	code, _, errOut := cli(t, "apply", "-f", changed, "--node", s.path("state", "uk-broker-1"))
	if code != 1 || !strings.Contains(errOut, "no-such") {
		t.Errorf("an assignment to a desktop that does not exist: exit %d, %q", code, errOut)
	}
}

// secondProcess: the same configuration a second time says what is in use, and breaks nothing.
func secondProcess(t *testing.T, s *stage) {
	for _, c := range []struct{ name, want string }{
		{"uk-gtm", s.address("127.0.2.53", portPeer)},
		{"uk-lb", s.address("127.0.2.80", portLB)},
	} {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(self, "run", "-c", s.path(c.name+".toml")).CombinedOutput()
		if err == nil || !strings.Contains(string(out), c.want) || !strings.Contains(string(out), "in use") {
			t.Errorf("%s: %v\n%s", c.name, err, out)
		}
	}
	digs(t, s)
}

// reloads changes a steered name's TTL by SIGHUP and by command, and survives a broken file.
func reloads(t *testing.T, s *stage) {
	file := s.path("uk-gtm.toml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write := func(content string) {
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	node := s.path("state", "uk-gtm")
	write(strings.ReplaceAll(string(text), `ttl = "5s"`, `ttl = "4s"`))
	if code, out, errOut := cli(t, "reload", "--node", node); code != 0 {
		t.Fatalf("exit %d\n%s%s", code, out, errOut)
	}
	ttl := func() string {
		_, out, _ := cli(t, "explain", "--node", node, "--client", clientUK, "--name", "cb.company.com")
		_, after, _ := strings.Cut(out, "cb.company.com. ")
		seconds, _, _ := strings.Cut(after, " ")
		return seconds
	}
	if got := ttl(); got != "4" {
		t.Errorf("after the reload the TTL is %s", got)
	}
	write(strings.ReplaceAll(string(text), `ttl = "5s"`, `ttl = "5"`))
	if code, _, errOut := cli(t, "reload", "--node", node); code != 1 || !strings.Contains(errOut, "uk-gtm.toml:") || !strings.Contains(errOut, "nothing was changed") {
		t.Errorf("a broken file: exit %d, %q", code, errOut)
	}
	write(strings.ReplaceAll(string(text), fmt.Sprintf("127.0.2.53:%d", s.ports[portDNS]), "127.0.2.54:5301"))
	if code, _, errOut := cli(t, "reload", "--node", node); code != 1 || !strings.Contains(errOut, "[gtm] listen") {
		t.Errorf("another address: exit %d, %q", code, errOut)
	}
	if got := ttl(); got != "4" {
		t.Errorf("after failed reloads the TTL is %s", got)
	}
	write(string(text))
	p, err := s.process("uk-gtm")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ttl() != "5"; {
		if time.Now().After(deadline) {
			t.Fatalf("SIGHUP did not bring the old TTL back: %s", ttl())
		}
	}
}

// drains: SIGTERM ends every role by itself, with exit status 0.
func drains(t *testing.T, s *stage) {
	for _, p := range s.processes {
		if p.socket == "" {
			continue
		}
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		select {
		case <-p.done:
		case <-time.After(stopGrace):
			t.Fatalf("%s does not stop", p.name)
		}
		if p.err != nil {
			t.Errorf("%s: %v", p.name, p.died())
		}
	}
}
