package broker

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"os"

	"switchpoint/healthcheck"
	"switchpoint/redirect"
)

// checkKey is the check that says whether a destination is up (RD7).
func checkKey(d redirect.Destination) (healthcheck.Key, error) {
	address, err := d.ProbeAddress()
	return healthcheck.Key{Address: address, Monitor: monitorOf(d)}, err
}

// monitorOf names the monitor of a destination.
func monitorOf(d redirect.Destination) string {
	if d.Monitor == "" {
		return "is_alive of destination " + d.Name
	}
	return d.Monitor
}

// ownMonitor is the monitor of a destination that names none (RD9): the is_alive page at the host of its
// URL, with the defaults of such monitors.
func ownMonitor(d redirect.Destination) (healthcheck.Monitor, error) {
	u, err := url.Parse(d.URL)
	if err != nil {
		return healthcheck.Monitor{}, err
	}
	m := healthcheck.Monitor{Name: monitorOf(d), Kind: u.Scheme, ServerName: u.Hostname()}
	if u.Scheme == "https" {
		m.CA = d.CA
	}
	return m, nil
}

// checkCA refuses a file without roots, which would make every check of the process unusable.
func checkCA(path string) error {
	if path == "" {
		return nil
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the CA file: %w", err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(pem) {
		return fmt.Errorf("read the CA file: no certificate in %s", path)
	}
	return nil
}
