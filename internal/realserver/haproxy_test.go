package realserver

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// fetch gives status and body of a page, or the error in words.
func fetch(url string, secure *tls.Config) string {
	transport := &http.Transport{TLSClientConfig: secure, DisableKeepAlives: true}
	client := &http.Client{Transport: transport, Timeout: 2 * time.Second}
	res, err := client.Get(url)
	if err != nil {
		return "error: " + err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return "error: " + err.Error()
	}
	return fmt.Sprint(res.StatusCode, " ", string(body))
}

// webLife drives a web server through its life; page answers while it serves.
func webLife(t *testing.T, page func() string, stop, kill, start, pause, resume func()) {
	t.Helper()
	want := func(step string, up bool) {
		t.Helper()
		if got := page(); (got == "200 CB_IS_OKAY") != up {
			t.Errorf("%s: %q, want up = %v", step, got, up)
		}
	}
	want("started", true)
	kill()
	want("killed", false)
	start()
	want("started again", true)
	pause()
	want("paused", false)
	resume()
	want("resumed", true)
	stop()
	want("stopped", false)
	start()
	want("started after a stop", true)
}

// takenFirst hands out a port that is in use, and free ones after it.
func takenFirst(t *testing.T) func() (int, error) {
	t.Helper()
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	first := true
	return func() (int, error) {
		if first {
			first = false
			return taken.Addr().(*net.TCPAddr).Port, nil
		}
		return freePort()
	}
}

func TestHAProxyLife(t *testing.T) {
	s := HAProxy(t, HAProxyOptions{ports: takenFirst(t)})
	webLife(t, func() string { return fetch("http://"+s.Addr+"/", nil) }, s.Stop, s.Kill, s.Start, s.Pause, s.Resume)
	if got := fetch("https://"+s.TLSAddr+"/", tlsConfig(t, s.CAFile)); got != "200 CB_IS_OKAY" {
		t.Errorf("over TLS: %s", got)
	}
}

func TestHAProxyBackend(t *testing.T) {
	behind := HAProxy(t, HAProxyOptions{Body: "behind"})
	s := HAProxy(t, HAProxyOptions{Backends: []HAProxyBackend{{Addr: behind.Addr}}})
	if got := fetch("http://"+s.Addr+"/", nil); got != "200 behind" {
		t.Errorf("through the proxy: %s", got)
	}
	if status, weight, agent := s.BackendState(0); status != "UP" || weight != 1 || agent != "" {
		t.Errorf("backend: %s %d %q", status, weight, agent)
	}
	behind.Kill()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if status, _, _ := s.BackendState(0); status == "DOWN" {
			break
		} else if time.Now().After(end) {
			t.Fatalf("the backend is still %s", status)
		}
	}
}
