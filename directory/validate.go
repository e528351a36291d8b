package directory

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"switchpoint/internal/problem"
	"switchpoint/internal/secret"
)

// Bounds of the settings.
const (
	minTimeout  = 10 * time.Millisecond
	maxTimeout  = 2 * time.Minute // no login waits longer (LG1)
	maxMaxConns = 1024
)

// WithDefaults fills what is empty with the values of LD1.
func (c Config) WithDefaults() Config {
	c.UserFilter = cmp.Or(c.UserFilter, DefaultUserFilter)
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	c.MaxConns = cmp.Or(c.MaxConns, DefaultMaxConns)
	c.ServerOrder = cmp.Or(c.ServerOrder, Ordered)
	return c
}

// Validate reports every fault of the section. It opens no connection and reads no secret.
func (c Config) Validate() error {
	var probs problem.List
	if c.Name == "" {
		probs.Addf("name", "give the directory a name, for rules, logs and metrics", "no name")
	}
	if len(c.Servers) == 0 {
		probs.Addf("servers", `name at least one, e.g. servers = ["ldaps://dc1.company.com"]`, "no servers")
	}
	for i, s := range c.Servers {
		c.checkServer(&probs, fmt.Sprintf("servers[%d]", i), s)
	}
	c.checkReferrals(&probs)
	oneOf(&probs, "server_order", c.ServerOrder, Ordered, RoundRobin)
	oneOf(&probs, "groups", c.Groups, GroupsToken, GroupsMemberOf, GroupsNested, GroupsNone)
	c.checkSearch(&probs)
	c.checkTLS(&probs)
	if c.Timeout != 0 && (c.Timeout < minTimeout || c.Timeout > maxTimeout) {
		probs.Addf("timeout", fmt.Sprintf("use %s to %s", minTimeout, maxTimeout), "%s is no time-out for an operation", c.Timeout)
	}
	if c.MaxConns < 0 || c.MaxConns > maxMaxConns {
		probs.Addf("max_conns", fmt.Sprintf("use 1 to %d", maxMaxConns), "%d connections are not possible", c.MaxConns)
	}
	return probs.Err()
}

func (c Config) checkReferrals(probs *problem.List) {
	for i, s := range c.Referrals {
		path := fmt.Sprintf("referrals[%d]", i)
		if strings.Contains(s, "+srv://") {
			probs.Addf(path, `write "ldaps://host" of a server`, "%q is no server", s)
			continue
		}
		c.checkServer(probs, path, s)
		host := func(raw string) string {
			u, err := serverURL(raw)
			if err != nil {
				return raw
			}
			return strings.ToLower(u.Hostname())
		}
		if slices.ContainsFunc(c.Referrals[:i], func(other string) bool { return host(other) == host(s) }) {
			probs.Addf(path, "name each host once: a referral is followed by its host", "%q names a host twice", s)
		}
	}
}

func oneOf(probs *problem.List, path, value string, allowed ...string) {
	if value != "" && !slices.Contains(allowed, value) {
		probs.Addf(path, "use "+strings.Join(allowed, ", ")+", or leave it out", "%q is not known", value)
	}
}

func (c Config) checkServer(probs *problem.List, path, server string) {
	const cure = `write "ldaps://host", or "ldap://host" with start_tls = true`
	if name, dns, err := parseSRV(server); dns {
		switch {
		case err != nil:
			probs.Addf(path, `write "ldaps+srv://DOMAIN", or "ldap+srv://DOMAIN" with start_tls = true`, "%s", err)
		case name.secure && c.StartTLS:
			probs.Addf(path, "write ldap+srv:// or leave start_tls out", "%q is encrypted from the start, start_tls cannot be used with it", server)
		case !name.secure && !c.StartTLS && !c.AllowPlain:
			probs.Addf(path, "write ldaps+srv://, or add start_tls = true; allow_plain = true accepts the risk", "%q would send passwords over the network unencrypted", server)
		}
		return
	}
	u, err := serverURL(server)
	if err != nil {
		probs.Addf(path, cure, "%s", err)
		return
	}
	if u.Scheme == "ldaps" && c.StartTLS {
		probs.Addf(path, "write ldap:// or leave start_tls out", "%q is encrypted from the start, start_tls cannot be used with it", server)
	}
	if u.Scheme == "ldap" && !c.StartTLS && !c.AllowPlain && !isLoopback(u.Hostname()) {
		probs.Addf(path, cure+"; allow_plain = true accepts the risk", "%q would send passwords over the network unencrypted", server)
	}
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// Addresses are host:port of the servers that have a URL, in their order; servers that are no valid
// URL are left out, because Validate names them, and those that the DNS names, because they change.
func (c Config) Addresses() []string {
	var out []string
	for _, raw := range c.Servers {
		if u, err := serverURL(raw); err == nil {
			out = append(out, u.Host)
		}
	}
	return out
}

// serverURL parses a server's URL and adds the default port of its scheme.
func serverURL(server string) (*url.URL, error) {
	u, err := url.Parse(server)
	switch {
	case strings.Contains(server, "@"): // not shown: a password may stand before it
		return nil, errors.New("the URL has more than scheme, host and port")
	case err != nil:
		return nil, fmt.Errorf("%q is no URL", server)
	case u.Scheme != "ldap" && u.Scheme != "ldaps":
		return nil, fmt.Errorf("%q is neither ldap:// nor ldaps://", server)
	case u.Hostname() == "":
		return nil, fmt.Errorf("%q has no host", server)
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("%q has more than scheme, host and port", server)
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"ldap": "389", "ldaps": "636"}[u.Scheme]
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return nil, fmt.Errorf("%q has no port from 1 to 65535", server)
	}
	u.Host = net.JoinHostPort(u.Hostname(), port)
	return u, nil
}

func (c Config) checkSearch(probs *problem.List) {
	if c.BaseDN == "" {
		probs.Addf("base_dn", `name where users are searched, e.g. base_dn = "dc=company,dc=com"`, "no base_dn")
	} else if _, err := ldap.ParseDN(c.BaseDN); err != nil {
		probs.Addf("base_dn", "write it as dc=company,dc=com", "%q is no DN", c.BaseDN)
	}
	if _, err := ldap.ParseDN(c.GroupBase); err != nil {
		probs.Addf("group_base", "write it as ou=groups,dc=company,dc=com", "%q is no DN", c.GroupBase)
	}
	switch {
	case c.BindDN == "" && c.BindPassword != "":
		probs.Addf("bind_dn", "name the service account, or leave bind_password out for anonymous searches", "a password without a bind_dn")
	case c.BindDN != "" && c.BindPassword == "":
		probs.Addf("bind_password", "add bind_password = \"file:PATH\" or \"env:NAME\"", "no password for bind_dn")
	case c.BindPassword != "":
		// The value is not shown: it may be the password itself.
		if err := secret.Check(c.BindPassword); err != nil {
			probs.Addf("bind_password", "write the password to a file and name it: \"file:PATH\", or use \"env:NAME\"", "%s", err)
		}
	}
	filter := cmp.Or(c.UserFilter, DefaultUserFilter)
	if !strings.Contains(filter, "{user}") && !strings.Contains(filter, "{upn}") {
		probs.Addf("user_filter", "put {user} where the name belongs, e.g. (uid={user})", "the filter would find the same entry for every name")
	}
	if _, err := ldap.CompileFilter(newFilterTemplate(filter).build(loginName{account: "x", full: "x@y"})); err != nil {
		probs.Addf("user_filter", "correct the filter (RFC 4515), e.g. (&(objectClass=person)(uid={user}))", "%q is no filter: %s", filter, err)
	}
}

func (c Config) checkTLS(probs *problem.List) {
	if c.CA != "" && c.NoVerify {
		probs.Addf("no_verify", "leave no_verify out", "with no_verify the certificates in ca would not be used")
	}
	if c.CA != "" {
		if _, err := loadCA(c.CA); err != nil {
			probs.Addf("ca", "name a PEM file with the certificates of the CA", "%s", err)
		}
	}
}

// tlsConfig is for the server at host.
func (c Config) tlsConfig(host string) (*tls.Config, error) {
	t := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         cmp.Or(c.Verify, host),
		InsecureSkipVerify: c.NoVerify, //nolint:gosec // the operator's own choice, off by default
		ClientSessionCache: tls.NewLRUClientSessionCache(0),
	}
	if c.CA == "" {
		return t, nil
	}
	var err error
	t.RootCAs, err = loadCA(c.CA)
	return t, err
}

func loadCA(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the CA file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("no certificate in %s", path)
	}
	return pool, nil
}
