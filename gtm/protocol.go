package gtm

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"time"

	"switchpoint/internal/problem"
)

// Defaults and bounds of the protocol settings.
const (
	DefaultRate           = 200
	DefaultSlip           = 2
	DefaultTCPConnections = 1000
	DefaultTCPPerClient   = 100
	DefaultTCPIdle        = 10 * time.Second

	maxRate        = 1_000_000
	maxSlip        = 10
	maxIdentity    = 64 // octets; keeps the smallest answer within 512
	maxConnections = 1_000_000
	minIdle        = 100 * time.Millisecond // the unit of RFC 7828
	maxIdle        = time.Hour
)

// DefaultExempt lists the networks that are not limited by default: private, loopback and
// link-local ones. Their addresses are not forged from outside.
func DefaultExempt() []string {
	return []string{
		"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
		"::1/128", "fc00::/7", "fe80::/10",
	}
}

// protocol is what a Table says about the protocol rather than about names.
type protocol struct {
	nsid        string // empty: hidden
	version     string // empty: hidden
	synthesized bool
	secrets     []cookieSecret // empty: the server's own
	rrl         rateLimit
	tcp         tcpLimits
}

// settings gives the protocol settings, also before there is a table.
func (t *Table) settings() *protocol {
	if t != nil && t.protocol != nil {
		return t.protocol
	}
	p, _ := compileProtocol(Config{}.WithDefaults()) // reads no secrets, so it cannot fail
	return p
}

// protocolDefaults fills the unset values of the protocol settings.
func (c *Config) protocolDefaults() {
	c.RRL.Rate = cmp.Or(c.RRL.Rate, DefaultRate)
	c.RRL.Slip = cmp.Or(c.RRL.Slip, DefaultSlip)
	if c.RRL.Exempt == nil { // an empty list is a choice
		c.RRL.Exempt = DefaultExempt()
	}
	c.TCP.Connections = cmp.Or(c.TCP.Connections, DefaultTCPConnections)
	c.TCP.PerClient = cmp.Or(c.TCP.PerClient, min(DefaultTCPPerClient, c.TCP.Connections))
	c.TCP.Idle = cmp.Or(c.TCP.Idle, DefaultTCPIdle)
}

// compileProtocol reads the cookie secrets and makes the settings of a valid configuration with
// defaults.
func compileProtocol(cfg Config) (*protocol, error) {
	p := &protocol{
		nsid: cfg.NSID, version: cfg.Version, synthesized: cfg.EDESynthesized,
		tcp: tcpLimits{total: cfg.TCP.Connections, perClient: cfg.TCP.PerClient, idle: cfg.TCP.Idle, write: writeTimeout},
	}
	if !cfg.RRL.Off {
		p.rrl = rateLimit{interval: time.Second / time.Duration(cfg.RRL.Rate), slip: uint32(cfg.RRL.Slip)}
		for _, s := range cfg.RRL.Exempt {
			prefix, err := netip.ParsePrefix(s)
			if err != nil {
				return nil, fmt.Errorf("exempt network: %w", err)
			}
			p.rrl.exempt = append(p.rrl.exempt, prefix)
		}
	}
	if cfg.CookieSecret == "" {
		return p, nil
	}
	var err error
	if p.secrets, err = readSecrets(cfg.CookieSecret); err != nil {
		return nil, problem.List{{Path: "cookie_secret", Cure: secretCure(err), What: fmt.Sprintf("the cookie secrets cannot be used: %v", err)}}
	}
	return p, nil
}

// secretCure says what to do about secrets that cannot be used.
func secretCure(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "make it with: openssl rand -hex 16"
	case errors.Is(err, fs.ErrPermission):
		return "let the user that runs this process read it"
	}
	return "write one secret a line, 32 hexadecimal digits as from openssl rand -hex 16, and chmod 600 the file"
}

// protocol checks the protocol settings.
func (v *validator) protocol() {
	v.identity("nsid", v.cfg.NSID)
	v.identity("version", v.cfg.Version)
	v.between("rrl.rate", "responses a second", v.cfg.RRL.Rate, maxRate)
	v.between("rrl.slip", "", v.cfg.RRL.Slip, maxSlip)
	v.between("tcp.connections", "connections", v.cfg.TCP.Connections, maxConnections)
	v.between("tcp.per_client", "connections", v.cfg.TCP.PerClient, v.cfg.TCP.Connections)
	if d := v.cfg.TCP.Idle; d < minIdle || d > maxIdle {
		v.addf("tcp.idle", `write a time from "100ms" to "1h"`, "an idle time of %s is not possible", d)
	}
	if ref := v.cfg.CookieSecret; ref != "" && !goodSecretRef(ref) { // never shown: it may be the secret itself
		v.addf("cookie_secret", `write the secrets to a file and name it: "file:PATH", or use "env:NAME"`, "%v", errSecretRef)
	}
	for i, s := range v.cfg.RRL.Exempt {
		if p, err := netip.ParsePrefix(s); err != nil || p != p.Masked() || p.Addr().Is4In6() {
			v.addf(fmt.Sprintf("rrl.exempt[%d]", i), `write a prefix without bits beyond its length, such as "10.1.0.0/16"`, "%q is no network", s)
		}
	}
}

func (v *validator) between(path, unit string, n, most int) {
	if n < 1 || n > most {
		v.addf(path, fmt.Sprintf("write 1 to %d", most), "%d %s is not possible", n, unit)
	}
}

// identity checks a text that clients are shown.
func (v *validator) identity(path, s string) {
	odd := slices.ContainsFunc([]byte(s), func(c byte) bool { return c < ' ' || c > '~' })
	if odd || len(s) > maxIdentity {
		v.addf(path, fmt.Sprintf("write at most %d printable ASCII characters", maxIdentity), "%q cannot be shown to clients", s)
	}
}
