package sites

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"switchpoint/directory"
	"switchpoint/internal/problem"
)

// DefaultTimeout is for one reading of a whole forest from one server.
const DefaultTimeout = 30 * time.Second

const (
	minTimeout = 10 * time.Millisecond
	maxTimeout = 10 * time.Minute
)

// Config names the domain controllers of a forest. Any of its domains will do: all of them hold
// the Configuration partition. Who is authenticated may read it; no further rights are needed.
type Config struct {
	// URLs are ldap:// or ldaps:// URLs, tried in this order.
	URLs     []string `toml:"urls"`
	StartTLS bool     `toml:"start_tls"`
	CA       string   `toml:"ca"`          // PEM roots; default the system's
	Verify   string   `toml:"server_name"` // name to verify; default the host of the URL
	NoVerify bool     `toml:"no_verify"`
	// AllowPlain lets the password cross the network unencrypted, with ldap:// and no StartTLS, to
	// a server that is not on this host. Active Directory refuses that by default.
	AllowPlain bool `toml:"allow_plain"`
	// BindDN is the account: a DN, or user@domain.
	BindDN string `toml:"bind_dn"`
	// BindPassword is a reference: "file:PATH" or "env:NAME".
	BindPassword string        `toml:"bind_password"`
	Timeout      time.Duration `toml:"timeout"` // of one reading from one server; default 30s
}

// WithDefaults fills what is empty.
func (c Config) WithDefaults() Config {
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	return c
}

// Validate reports every fault of the section. It opens no connection and reads no secret.
func (c Config) Validate() error {
	var probs problem.List
	if len(c.URLs) == 0 {
		probs.Addf("urls", `name at least one domain controller, e.g. urls = ["ldaps://dc1.company.com"]`, "no urls")
	}
	if c.BindDN == "" && c.BindPassword == "" {
		probs.Addf("bind_dn", `name an account, e.g. bind_dn = "svc-sites@company.com", and its bind_password; it needs no further rights`,
			"no account, and Active Directory shows its sites to nobody who is not signed in")
	}
	if c.Timeout != 0 && (c.Timeout < minTimeout || c.Timeout > maxTimeout) {
		probs.Addf("timeout", fmt.Sprintf("use %s to %s", minTimeout, maxTimeout), "%s is no time-out for a reading", c.Timeout)
	}
	var shared problem.List
	if errors.As(c.directory().Validate(), &shared) {
		for _, p := range shared {
			switch {
			case strings.HasPrefix(p.Path, "servers["):
				p.Path = "urls" + strings.TrimPrefix(p.Path, "servers")
			case p.Path == "servers":
				continue // said above
			case p.Path == "bind_dn":
				p.Cure = "name the account that the password is for"
			}
			probs = append(probs, p)
		}
	}
	return probs.Err()
}

// directory is the same servers as a [[directory]], whose rules for URLs, TLS and passwords hold
// here, too.
func (c Config) directory() directory.Config {
	return directory.Config{
		Name: "sites", BaseDN: "DC=sites", Servers: c.URLs, StartTLS: c.StartTLS, CA: c.CA, Verify: c.Verify,
		NoVerify: c.NoVerify, AllowPlain: c.AllowPlain, BindDN: c.BindDN, BindPassword: c.BindPassword,
	}
}

// endpoint is where and how to connect.
type endpoint struct {
	address  string
	tls      *tls.Config // nil: plain
	startTLS bool
}

// endpoint is for one of the URLs of a valid Config.
func (c Config) endpoint(raw string) (endpoint, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return endpoint{}, errors.New("no valid URL")
	}
	port := cmp.Or(u.Port(), map[string]string{"ldap": "389", "ldaps": "636"}[u.Scheme])
	e := endpoint{address: net.JoinHostPort(u.Hostname(), port), startTLS: c.StartTLS}
	if u.Scheme == "ldap" && !c.StartTLS {
		return e, nil
	}
	e.tls = &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         cmp.Or(c.Verify, u.Hostname()),
		InsecureSkipVerify: c.NoVerify, //nolint:gosec // the operator's own choice, off by default
	}
	if c.CA == "" {
		return e, nil
	}
	pem, err := os.ReadFile(c.CA)
	if err != nil {
		return e, fmt.Errorf("read the CA file: %w", err)
	}
	e.tls.RootCAs = x509.NewCertPool()
	if !e.tls.RootCAs.AppendCertsFromPEM(pem) {
		return e, fmt.Errorf("no certificate in %s", c.CA)
	}
	return e, nil
}
