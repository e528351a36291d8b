package api_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/internal/covers"
)

// raw sends text as it is and reads until the server closes.
func (s *site) raw(t *testing.T, text string, secure bool) string {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if secure {
		conn = tls.Client(conn, &tls.Config{RootCAs: s.roots, ServerName: "127.0.0.1"})
	}
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return string(answer)
}

// TestIsAliveForms asks in every form that balancers use, on HTTP and HTTPS, of a broker that
// serves and of one that does not.
func TestIsAliveForms(t *testing.T) {
	covers.Req(t, "AL1", "AL4", "AL5")
	t.Parallel()
	for _, secure := range []bool{false, true} {
		s := start(t, config{plain: !secure, config: broker.Config{Capacity: 7}})
		for _, action := range []string{"is_alive", "cb_status"} {
			target := "/index.pl?action=" + action
			for _, form := range []string{
				"GET " + target + "\r\n",
				"GET " + target + "\r\n\r\n",
				"GET " + target + " HTTP/1.0\r\n\r\n",
				"GET " + target + " HTTP/1.1\r\n\r\n",
				"GET " + target + " HTTP/1.1\r\nHost: cb.company.com\r\nConnection: close\r\n\r\n",
			} {
				res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(s.raw(t, form, secure))), nil)
				if err != nil {
					t.Errorf("%q: %v", form, err)
					continue
				}
				body, err := io.ReadAll(res.Body)
				if err != nil || res.StatusCode != 200 || string(body) != "CB_IS_OKAY" || !res.Close || res.Header.Get("X-Broker-Mode") != "normal" ||
					res.Header.Get("X-Broker-Active") != "0" || res.Header.Get("X-Broker-Capacity") != "7" {
					t.Errorf("%q: %d %q %v %v", form, res.StatusCode, body, res.Header, err)
				}
			}
		}
		if got := s.raw(t, "GET /index.pl?action=other HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", secure); !strings.HasPrefix(got, "HTTP/1.1 404") {
			t.Errorf("another action: %q", got)
		}
		// A directory that is down makes the broker unable to serve: 503, and no CB_IS_OKAY.
		setup := localSetup(t)
		setup.Directories = []broker.Directory{downDirectory(t)}
		s.fill(t, setup)
		for _, form := range []string{"GET /index.pl?action=is_alive\r\n", "GET /index.pl?action=is_alive HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"} {
			if got := s.raw(t, form, secure); !strings.HasPrefix(got, "HTTP/1.1 503") || strings.Contains(got, "CB_IS_OKAY") {
				t.Errorf("without a directory: %q", got)
			}
		}
		s.stop()
	}
}

// TestIsAliveLoad: a broker with too many logins in its queue says 503, until they are done.
func TestIsAliveLoad(t *testing.T) {
	covers.Req(t, "AL1", "AL5")
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	s := start(t, config{config: broker.Config{Capacity: 1, LoginDeadline: 10 * time.Second}})
	setup := localSetup(t)
	setup.Directories = []broker.Directory{demoDirectory(t), directoryAt(t, "silent", silent.Addr().String())}
	s.fill(t, setup)
	becomes := func(status, busy string) {
		t.Helper()
		got := ""
		for deadline := time.Now().Add(30 * time.Second); !strings.HasPrefix(got, "HTTP/1.1 "+status) || strings.Contains(got, "\r\nX-Broker-Active: 0\r\n") != (busy == "idle"); {
			if time.Now().After(deadline) {
				t.Fatalf("want %s, %s, got %q", status, busy, got)
			}
			got = s.raw(t, "GET /index.pl?action=is_alive\r\n", true)
		}
	}
	becomes("200", "idle")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			s.call(t, "POST", "/api/v1/login", `{"user":"bob`+strconv.Itoa(i)+`","password":"x","directory":"silent"}`, nil, nil)
		})
	}
	becomes("503", "at work")
	wg.Wait()
	becomes("200", "idle")
}

// TestIsAliveSetting: with one directory of two, "serving" is 200 and "backend" is 503.
func TestIsAliveSetting(t *testing.T) {
	covers.Req(t, "AL4")
	t.Parallel()
	up := demoDirectory(t)
	for mode, want := range map[string]string{broker.AliveServing: "HTTP/1.1 200 OK", broker.AliveBackend: "HTTP/1.1 503 Service Unavailable"} {
		s := start(t, config{config: broker.Config{IsAlive: mode}})
		setup := localSetup(t)
		setup.Directories = []broker.Directory{downDirectory(t), up}
		s.fill(t, setup)
		got := ""
		for deadline := time.Now().Add(10 * time.Second); !strings.HasPrefix(got, want) && time.Now().Before(deadline); {
			got = s.raw(t, "GET /index.pl?action=is_alive\r\n\r\n", true)
		}
		if !strings.HasPrefix(got, want) || !strings.Contains(got, "Connection: close\r\n") {
			t.Errorf("%s: %q", mode, got)
		}
		// Both forms of a request that only a peek can answer agree with the one of net/http.
		if res := s.call(t, "GET", "/index.pl?action=is_alive", "", nil, nil); !strings.HasSuffix(want, res.Status) {
			t.Errorf("%s over net/http: %s", mode, res.Status)
		}
		s.stop()
	}
}

// TestCertificateReload: a renewed certificate is used without a restart, a broken one is not.
func TestCertificateReload(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	serial := func() string {
		t.Helper()
		conn, err := tls.Dial("tcp", s.Addr().String(), &tls.Config{RootCAs: s.roots})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	first := serial()
	if err := os.WriteFile(filepath.Join(s.certDir, "cert.pem"), []byte("half a fi"), 0o600); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(1200 * time.Millisecond); time.Now().Before(end); { // longer than it takes to look again
		if got := serial(); got != first {
			t.Fatalf("serial %s, then %s", first, got)
		}
	}
	certificate(t, s.certDir, s.roots)
	for deadline := time.Now().Add(10 * time.Second); serial() == first; {
		if time.Now().After(deadline) {
			t.Fatal("the renewed certificate is not used")
		}
	}
}
