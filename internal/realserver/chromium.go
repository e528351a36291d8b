package realserver

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// ChromiumOptions describes a browser.
type ChromiumOptions struct {
	// TrustCert is a PEM file with the server certificate that the browser shall accept, besides those
	// that the system trusts. Certificates that it issued do not count.
	TrustCert string
}

// Browser is a running Chromium without a window, with a fresh profile. It reaches this machine only.
type Browser struct {
	URL string // WebSocket of its DevTools, ws://127.0.0.1:PORT/devtools/browser/...

	server
	profile string
}

// Chromium starts a browser for the length of the test. Its own sandbox is off, because most places
// where tests run do not allow what it is made of: show it no pages but the test's own.
func Chromium(t testing.TB, o ChromiumOptions) *Browser {
	t.Helper()
	program := findProgram(t, "chromium")
	own, err := serverOwner("nobody")
	if err != nil {
		t.Fatal(err)
	}
	root := newRoot(t, "chromium")
	b := &Browser{profile: filepath.Join(root, "profile")}
	argv := []string{
		"/usr/bin/env", "HOME=" + root, program,
		"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--force-color-profile=srgb",
		"--no-first-run", "--no-default-browser-check", "--disable-extensions", "--disable-sync", "--disable-background-networking",
		"--disable-component-update", "--disable-breakpad", "--disable-features=Translate,OptimizationHints,MediaRouter",
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
		"--remote-debugging-port=0", "--user-data-dir=" + b.profile,
	}
	if o.TrustCert != "" {
		pin, err := keyPin(o.TrustCert)
		if err != nil {
			t.Fatalf("read the certificate for the browser: %v", err)
		}
		argv = append(argv, "--ignore-certificate-errors-spki-list="+pin)
	}
	b.stale = filepath.Join(b.profile, "DevToolsActivePort")
	b.answers = b.ready
	b.proc = process{t: t, name: "chromium", owner: own, stopSig: syscall.SIGTERM, logFile: filepath.Join(root, "chromium.log"), argv: append(argv, "about:blank")}
	t.Cleanup(b.proc.kill)
	b.firstStart(func() error { return b.proc.owner.own(root) })
	return b
}

// ready reads where the browser listens from a file in its profile, and asks there whether it is the
// browser of that file.
func (b *Browser) ready(ctx context.Context) error {
	text, err := os.ReadFile(b.stale)
	if err != nil {
		return err
	}
	port, path, ok := strings.Cut(strings.TrimSpace(string(text)), "\n")
	if !ok {
		return errors.New("its port is not written yet")
	}
	address := net.JoinHostPort("127.0.0.1", port)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/json/version", http.NoBody)
	if err != nil {
		return err
	}
	req.Close = true
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var said struct {
		URL string `json:"webSocketDebuggerUrl"`
	}
	if err := json.NewDecoder(res.Body).Decode(&said); err != nil {
		return fmt.Errorf("ask the browser who it is: %w", err)
	}
	b.URL = "ws://" + address + path
	if said.URL != b.URL {
		return fmt.Errorf("somebody else answers on the port: %q", said.URL)
	}
	return nil
}

// keyPin is the base64 SHA-256 of the public key of a certificate.
func keyPin(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return "", fmt.Errorf("%s holds no PEM block", file)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:]), nil
}
