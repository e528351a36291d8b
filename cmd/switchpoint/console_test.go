package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"switchpoint/internal/realserver"
)

// TestConsoleOfANode signs in to the console of a node as its configuration makes it, and finds the
// node's own broker and jobs there. What is not the console still asks for the bearer token.
func TestConsoleOfANode(t *testing.T) {
	dir := shortDir(t)
	ca := realserver.NewCA(t)
	cert, key := ca.Issue("admin")
	const token = "a-token-of-some-length"
	for name, text := range map[string]string{"token": token + "\n", "setup.toml": inventorySetup, "racks.csv": "name,ip\nr1,10.1.0.1\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, cfg := newNode(t, dir, brokerNode+fmt.Sprintf("\n[admin]\nlisten = \"127.0.0.1:0\"\ncert = %q\nkey = %q\ntoken_file = \"token\"\n", cert, key))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx, nil) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	untilReady(t, cfg)

	base := "https://" + a.admin.Addr().String()
	get := consoleClient(t, ca.CertFile)
	if status, _ := get(base+"/admin/v1/status", nil); status != http.StatusUnauthorized {
		t.Errorf("the admin API without a token: %d", status)
	}
	status, page := get(base+"/console/jobs", nil)
	csrf := regexp.MustCompile(`name="csrf" value="([^"]+)"`).FindStringSubmatch(page)
	if status != http.StatusOK || csrf == nil || strings.Contains(page, "center scan") {
		t.Fatalf("for a stranger: %d %s", status, page)
	}
	status, page = get(base+"/console/signin", url.Values{"csrf": {csrf[1]}, "token": {token}})
	if status != http.StatusOK || !strings.Contains(page, "Cluster Management") || !strings.Contains(page, "broker1") {
		t.Fatalf("after the sign-in: %d %s", status, page)
	}
	if status, _ := get(base+"/admin/v1/status", nil); status != http.StatusUnauthorized {
		t.Errorf("the admin API with the console's session: %d", status)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		status, page = get(base+"/console/jobs?kind=center+scan", nil)
		if status == http.StatusOK && strings.Contains(page, "racks") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the scan of the node's center is not on the page: %d %s", status, page)
		}
	}
}

// consoleClient keeps cookies and follows redirects, as a browser; with a form it posts.
func consoleClient(t *testing.T, caFile string) func(address string, form url.Values) (int, string) {
	t.Helper()
	text, err := os.ReadFile(caFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Jar: jar, Transport: transport, Timeout: 20 * time.Second}
	return func(address string, form url.Values) (int, string) {
		t.Helper()
		method := http.MethodGet
		if form != nil {
			method = http.MethodPost
		}
		req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		if form != nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
}

// TestNodeWithoutBrokerHasNoConsole: it has no page to show yet.
func TestNodeWithoutBrokerHasNoConsole(t *testing.T) {
	if pages := new(app).consolePages(); len(pages) != 0 {
		t.Errorf("%d pages", len(pages))
	}
}
