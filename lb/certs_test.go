package lb

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
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
)

const watchOften = 20 * ms

// secureConfig is an HTTPS listener whose default pair is for cb.company.com.
func secureConfig(t *testing.T, ca *authority) Config {
	t.Helper()
	cfg := plainConfig(members(startBackend(t, says("a"))))
	cfg.Listeners[0].Cert, cfg.Listeners[0].Key = ca.issue(t, "default", 101, "cb.company.com", "127.0.0.1")
	return cfg
}

// serialFor gives the number of the certificate that a client gets who asks for name.
func serialFor(t *testing.T, addr, name string) int64 {
	t.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// TestSNI: the certificate follows the name that a client asks for: exact, then a wildcard for
// one label, else the default one.
func TestSNI(t *testing.T) {
	covers.Req(t, "LB1")
	ca := newAuthority(t)
	cfg := secureConfig(t, ca)
	for i, hosts := range [][]string{{"*.company.com", "portal.other.com"}, {"Desk.Company.com", "192.0.2.1"}, {}} {
		var one Certificate
		one.Cert, one.Key = ca.issue(t, fmt.Sprintf("old%d.com", i), int64(102+i), hosts...)
		cfg.Listeners[0].Certificates = append(cfg.Listeners[0].Certificates, one)
	}
	r := start(t, cfg)
	for name, want := range map[string]int64{
		"":                     101,
		"cb.company.com":       101,
		"unknown.com":          101,
		"company.com":          101,
		"a.b.company.com":      101,
		"x.company.com":        102,
		"X.Company.COM":        102,
		"portal.other.com":     102,
		"desk.company.com":     103,
		"old2.com":             104, // from before there were names beside the common one
		"old1.com":             101, // this one has names
		"*.company.com.evil.x": 101,
	} {
		if got := serialFor(t, r.addr, name); got != want {
			t.Errorf("%q gets %d, want %d", name, got, want)
		}
	}
	// A client that verifies is content, and 1.2 is enough.
	c, err := tls.Dial("tcp", r.addr, &tls.Config{RootCAs: ca.pool(), ServerName: "x.company.com", MaxVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	if v := c.ConnectionState().Version; v != tls.VersionTLS12 {
		t.Errorf("version %x", v)
	}
	c.Close()
	if c, err := tls.Dial("tcp", r.addr, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		c.Close()
		t.Error("TLS 1.1 was accepted")
	}
}

// TestCertificateFiles: a changed file is in use soon, without a reload and without harm to open
// connections; a broken one is not, and log and metric say so once.
func TestCertificateFiles(t *testing.T) {
	covers.Req(t, "LB1")
	ca := newAuthority(t)
	cfg := secureConfig(t, ca)
	second := Certificate{}
	second.Cert, second.Key = ca.issue(t, "second", 102, "second.com")
	cfg.Listeners[0].Certificates = []Certificate{second}
	var said syncBuffer
	reg := prometheus.NewPedanticRegistry()
	r := start(t, cfg, func(o *Options) {
		o.WatchEvery, o.Metrics = watchOften, reg
		o.Log = slog.New(slog.NewTextHandler(&said, nil))
	})
	open := client(t, &tls.Config{RootCAs: ca.pool()})
	if _, got := get(t, open, "https://"+r.addr+"/"); got != "a" {
		t.Fatalf("got %q", got)
	}
	replace := func(c Certificate, serial int64, host string) {
		t.Helper()
		cert, key := ca.issue(t, "renewed", serial, host)
		for from, to := range map[string]string{cert: c.Cert, key: c.Key} {
			if err := os.Rename(from, to); err != nil {
				t.Fatal(err)
			}
		}
	}
	replace(second, 202, "second.com")
	eventually(t, "the new certificate is in use", func() bool { return serialFor(t, r.addr, "second.com") == 202 })
	replace(Certificate{cfg.Listeners[0].Cert, cfg.Listeners[0].Key}, 201, "127.0.0.1")
	eventually(t, "the new default certificate is in use", func() bool { return serialFor(t, r.addr, "") == 201 })
	if _, got := get(t, open, "https://"+r.addr+"/"); got != "a" {
		t.Errorf("an open connection got %q", got)
	}

	good, err := os.ReadFile(second.Cert)
	if err != nil {
		t.Fatal(err)
	}
	errorsSeen := func() float64 { return testutil.ToFloat64(r.metrics.certErrors.WithLabelValues("front")) }
	if errorsSeen() != 0 {
		t.Errorf("%v errors before any", errorsSeen())
	}
	for i, broken := range []string{"junk", string(good[:len(good)/2]), ""} {
		if err := os.WriteFile(second.Cert, []byte(broken), 0o600); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the fault is counted", func() bool { return errorsSeen() == float64(i+1) })
		if got := serialFor(t, r.addr, "second.com"); got != 202 {
			t.Errorf("certificate %d in place of the broken one", got)
		}
	}
	if err := os.Remove(second.Cert); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a missing file is counted", func() bool { return errorsSeen() == 4 })
	<-time.After(5 * watchOften) // nothing more is to come
	if n := strings.Count(said.String(), "the old one stays"); errorsSeen() != 4 || n != 4 {
		t.Errorf("%v counted, %d said", errorsSeen(), n)
	}
	if err := os.WriteFile(second.Cert, good, 0o600); err != nil {
		t.Fatal(err)
	}
	replace(second, 302, "second.com")
	eventually(t, "a good file is in use again", func() bool { return serialFor(t, r.addr, "second.com") == 302 })

	var text bytes.Buffer
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "switchpoint_lb_certificate_expiry_timestamp_seconds" {
				fmt.Fprintf(&text, "%s %v %v\n", f.GetName(), m.GetLabel(), m.GetGauge().GetValue())
				if ends := time.Unix(int64(m.GetGauge().GetValue()), 0); time.Until(ends) < 50*time.Minute || time.Until(ends) > time.Hour {
					t.Errorf("ends %v", ends)
				}
			}
		}
	}
	if strings.Count(text.String(), "\n") != 2 || !strings.Contains(text.String(), second.Cert) {
		t.Errorf("want two gauges, one of them of %s: %s", second.Cert, &text)
	}
}

// TestBrokenCertificateOnReload: a configuration with a broken pair is refused as a whole.
func TestBrokenCertificateOnReload(t *testing.T) {
	ca := newAuthority(t)
	cfg := secureConfig(t, ca)
	r := start(t, cfg)
	if err := os.WriteFile(cfg.Listeners[0].Key, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Compile(cfg, noRef); err == nil || !strings.Contains(err.Error(), "listener[0].cert") {
		t.Errorf("got %v", err)
	}
	if got := serialFor(t, r.addr, ""); got != 101 {
		t.Errorf("certificate %d", got)
	}
}

// resumes connects with the session cache and says whether a session went on.
func resumes(t *testing.T, addr string, cfg *tls.Config) bool {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr, Timeout: 10 * time.Second}).Get("https://" + addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.TLS.DidResume
}

// TestResumption: tickets are good again, in both versions of TLS, also after the certificate
// changed and after a reload.
func TestResumption(t *testing.T) {
	covers.Req(t, "LB1")
	ca := newAuthority(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			cfg := secureConfig(t, ca)
			r := start(t, cfg)
			c := &tls.Config{RootCAs: ca.pool(), ServerName: "cb.company.com", MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
			if resumes(t, r.addr, c) {
				t.Error("resumed what never was")
			}
			if !resumes(t, r.addr, c) {
				t.Error("not resumed")
			}
			next := cfg
			next.Listeners = []Listener{cfg.Listeners[0]}
			next.Listeners[0].Cert, next.Listeners[0].Key = ca.issue(t, "next", 111, "cb.company.com")
			r.reload(next)
			if serialFor(t, r.addr, "") != 111 || !resumes(t, r.addr, c) {
				t.Error("not resumed after the certificate changed")
			}
		})
	}
}

// TestTicketSecret: nodes with one secret take each other's tickets, for as long as their keys go
// back; others do not, and taking the secret away ends its tickets.
func TestTicketSecret(t *testing.T) {
	ca := newAuthority(t)
	file := filepath.Join(t.TempDir(), "tickets")
	var b [32]byte
	_, _ = rand.Read(b[:])
	if err := os.WriteFile(file, []byte(hex.EncodeToString(b[:])+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := secureConfig(t, ca)
	alone := start(t, cfg)
	cfg.Listeners = []Listener{cfg.Listeners[0]}
	cfg.Listeners[0].TicketSecret = "file:" + file
	one, two := start(t, cfg), start(t, cfg)
	c := &tls.Config{RootCAs: ca.pool(), ServerName: "cb.company.com", ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	if resumes(t, one.addr, c) || !resumes(t, two.addr, c) || !resumes(t, one.addr, c) {
		t.Error("nodes with one secret do not know each other's tickets")
	}
	if resumes(t, alone.addr, c) {
		t.Error("a node without the secret knows the ticket")
	}
	if resumes(t, one.addr, c) {
		t.Error("a node with the secret knows a ticket of one without")
	}
	without := cfg
	without.Listeners = []Listener{cfg.Listeners[0]}
	without.Listeners[0].TicketSecret = ""
	one.reload(without)
	if resumes(t, one.addr, c) || !resumes(t, one.addr, c) {
		t.Error("without the secret the node makes no keys of its own")
	}

	keys := func(epoch int64) [][32]byte {
		k, err := ticketKeys(b[:], epoch)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	now, next, third := keys(7), keys(8), keys(9)
	if now[0] == next[0] || next[1] != now[0] || now[2] != next[0] || third[1] != next[0] || third[0] == now[0] {
		t.Error("the keys do not turn")
	}
	// The watcher turns them: half a day later the node makes tickets with other keys.
	before := two.listeners[0].ticketEpoch
	two.turnAllTickets(time.Now().Add(ticketEpoch))
	if two.listeners[0].ticketEpoch != before+1 {
		t.Error("the keys were not turned")
	}
	if err := os.WriteFile(file, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Compile(cfg, noRef); err == nil || !strings.Contains(err.Error(), "listener[0].ticket_secret") || strings.Contains(err.Error(), `"short"`) {
		t.Errorf("a short secret: %v", err)
	}
}

// TestChooseByKey: of two certificates with one name, a client gets the one that it can use.
func TestChooseByKey(t *testing.T) {
	ca := newAuthority(t)
	cfg := secureConfig(t, ca)
	two := Certificate{}
	two.Cert, two.Key = ca.issueRSA(t, "rsa", 102, "cb.company.com")
	cfg.Listeners[0].Certificates = []Certificate{two}
	r := start(t, cfg)
	dial := func(suite uint16) int64 {
		c, err := tls.Dial("tcp", r.addr, &tls.Config{RootCAs: ca.pool(), ServerName: "cb.company.com", MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if a, b := dial(tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256), dial(tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256); a != 101 || b != 102 {
		t.Errorf("got %d and %d", a, b)
	}
}
