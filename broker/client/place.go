package client

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// visited remembers where the password went: host:port of each URL, and each cluster that has
// redirected the login (RD8).
type visited map[string]bool

// place notes that u is visited and says whether it was before.
func (v visited) place(u *url.URL) (before bool) {
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	return v.note(net.JoinHostPort(strings.ToLower(u.Hostname()), port))
}

// cluster does the same for the name of a cluster; one without a name is never known again.
func (v visited) cluster(name string) (before bool) {
	return name != "" && v.note("cluster "+name)
}

func (v visited) note(key string) (before bool) {
	before = v[key]
	v[key] = true
	return before
}

// parseBase reads the URL of a cluster.
func parseBase(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("%q is no http(s) URL", raw)
	}
	return u, nil
}

// startURL reads the URL that the user gave: nothing in it may be dropped in silence.
func startURL(raw string) (*url.URL, error) {
	u, err := parseBase(raw)
	if err != nil {
		return nil, fmt.Errorf("sign in: %w: write it such as https://cb.company.com", err)
	}
	if u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("sign in: give scheme, host and port alone: %s://%s", u.Scheme, u.Host)
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// srvURL is where an SRV record leads. Only DNS vouches for the record, and anybody has a
// certificate for a name of his own: a target outside of the domain gets no password.
func srvURL(domain string, srv *net.SRV) (*url.URL, error) {
	host, within := strings.ToLower(strings.TrimSuffix(srv.Target, ".")), strings.ToLower(strings.TrimSuffix(domain, "."))
	if host != within && !strings.HasSuffix(host, "."+within) {
		return nil, fmt.Errorf("sign in: SRV _connection_broker._tcp.%s names %q, which is outside of that domain; give its URL if that is meant", within, host)
	}
	return &url.URL{Scheme: "https", Host: net.JoinHostPort(host, strconv.Itoa(int(srv.Port)))}, nil
}

// hostOf is the host of a URL for messages, or the text itself when it is none.
func hostOf(raw string) string {
	if u, err := url.Parse(raw); err == nil && u.Host != "" {
		return u.Host
	}
	return raw
}

// Plain keeps what a server wrote from steering the terminal that shows it.
func Plain(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
