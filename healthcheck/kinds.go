package healthcheck

import (
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"switchpoint/internal/problem"
)

// kinds are the names of all kinds, in the order in which the documentation has them.
var kinds = []string{"http", "https", "tcp", "tls", "icmp", "dns", "ldap", "postgres", "xmlrpc", "agent", "exec"}

// keyKinds says which kinds have a use for a key. A key that is not here is for all kinds.
var keyKinds = map[string][]string{
	"send":            {"http", "https", "tcp", "agent"},
	"receive":         {"http", "https", "tcp", "dns", "xmlrpc"},
	"receive_disable": {"http", "https", "tcp"},
	"reverse":         {"http", "https", "tcp"},
	"status":          {"http", "https"},
	"headers":         {"http", "https", "xmlrpc"},
	"server_name":     {"http", "https", "tls", "ldap", "postgres", "xmlrpc"},
	"ca":              {"https", "tls", "ldap", "postgres", "xmlrpc"},
	"no_verify":       {"https", "tls", "ldap", "xmlrpc"},
	"port":            {"http", "https", "tcp", "tls", "dns", "ldap", "postgres", "xmlrpc", "agent"},
	"send_proxy":      {"http", "https", "tcp"},
	"min_validity":    {"tls"},
	"query":           {"dns"},
	"tls":             {"ldap", "xmlrpc"},
	"start_tls":       {"ldap"},
	"bind_dn":         {"ldap"},
	"bind_password":   {"ldap"},
	"base_dn":         {"ldap"},
	"filter":          {"ldap"},
	"user":            {"postgres"},
	"password":        {"postgres"},
	"database":        {"postgres"},
	"sslmode":         {"postgres"},
	"role":            {"postgres"},
	"max_lag":         {"postgres"},
	"path":            {"xmlrpc"},
	"method":          {"xmlrpc"},
	"command":         {"exec"},
}

func kindNames() string { return quotedList(kinds) }

// quotedList writes `"a", "b" or "c"`.
func quotedList(words []string) string {
	var b strings.Builder
	for i, w := range words {
		switch {
		case i > 0 && i == len(words)-1:
			b.WriteString(" or ")
		case i > 0:
			b.WriteString(", ")
		}
		b.WriteString(strconv.Quote(w))
	}
	return b.String()
}

// validateKeys refuses the keys that are given but mean nothing to the kind.
func (m Monitor) validateKeys(l *problem.List) {
	v := reflect.ValueOf(m)
	for i := range v.NumField() {
		key := v.Type().Field(i).Tag.Get("toml")
		allowed, some := keyKinds[key]
		if some && !v.Field(i).IsZero() && !slices.Contains(allowed, m.Kind) {
			l.Addf(key, "remove it or use kind "+quotedList(allowed), "%s is not for kind %s", key, m.Kind)
		}
	}
}

// kindDefaults fills what the kinds other than http and https have defaults for.
func (m Monitor) kindDefaults() Monitor {
	fill := func(value *string, fallback string) {
		if *value == "" {
			*value = fallback
		}
	}
	switch m.Kind {
	case "ldap":
		fill(&m.Filter, "(objectClass=*)")
	case "postgres":
		fill(&m.Database, "postgres")
		fill(&m.SSLMode, "verify-full")
		fill(&m.Role, "any")
	case "xmlrpc":
		fill(&m.Path, "/RPC2")
		fill(&m.Method, "broker.isAlive")
	}
	return m
}

// validateKind finds the faults of the keys that belong to one kind. m has its defaults.
func (m Monitor) validateKind(l *problem.List) {
	if m.Port < 0 || m.Port > 65535 {
		l.Addf("port", "write 1 to 65535, or leave it out", "%d is no port", m.Port)
	}
	if m.SendProxy != "" && proxyHeader(m.SendProxy) == nil {
		l.Addf("send_proxy", `write "v1" or "v2", or leave it out`, "%q is no version of the PROXY protocol", m.SendProxy)
	}
	switch m.Kind {
	case "tls":
		if m.MinValidity < 0 {
			l.Addf("min_validity", `write a duration such as "336h" (14 days)`, "%s is negative", m.MinValidity)
		}
	case "dns":
		if _, err := newQuestion(m.Query); err != nil {
			l.Addf("query", `write "NAME TYPE", such as "cb.company.com A"`, "%v", err)
		}
	case "ldap":
		m.validateLDAP(l)
	case "postgres":
		m.validatePostgres(l)
	case "xmlrpc":
		m.validateXMLRPC(l)
	case "exec":
		m.validateExec(l)
	}
}

// atPort is the address that the monitor asks for a target.
func (m Monitor) atPort(address string) string {
	if m.Port == 0 {
		return address
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address // the dialer says what is wrong with it
	}
	return net.JoinHostPort(host, strconv.Itoa(m.Port))
}

// sameKindKeys compares the keys that belong to single kinds.
func sameKindKeys(a, b Monitor) bool {
	if !slices.Equal(a.Command, b.Command) {
		return false
	}
	return a.Port == b.Port && a.SendProxy == b.SendProxy && a.MinValidity == b.MinValidity && a.Query == b.Query &&
		a.TLS == b.TLS && a.StartTLS == b.StartTLS && a.BindDN == b.BindDN && a.BindPassword == b.BindPassword &&
		a.BaseDN == b.BaseDN && a.Filter == b.Filter && a.User == b.User && a.Password == b.Password &&
		a.Database == b.Database && a.SSLMode == b.SSLMode && a.Role == b.Role && a.MaxLag == b.MaxLag &&
		a.Path == b.Path && a.Method == b.Method
}
