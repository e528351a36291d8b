package demodir

import (
	"github.com/go-ldap/ldap/v3"
	"github.com/jimlambrt/gldap"
)

// outcome is how an operation ends (RFC 4511, 4.1.9): a result code and why, for the client.
type outcome struct {
	code int
	text string
}

// found is an entry as it is sent.
type found struct {
	dn         string
	attributes []attribute
}

// bind decides a simple bind (RFC 4513, 5.1). service says that it made the client ServiceDN.
func (t *tree) bind(name, password string) (res outcome, service bool) {
	if password == "" {
		if name == "" {
			return outcome{gldap.ResultSuccess, ""}, false // anonymous
		}
		return outcome{gldap.ResultUnwillingToPerform, "unauthenticated bind refused"}, false // RFC 4513, 5.1.2
	}
	dn, err := ldap.ParseDN(name)
	if err != nil || !t.authenticate(dn, password) {
		return outcome{gldap.ResultInvalidCredentials, ""}, false
	}
	account, err := ldap.ParseDN(ServiceDN)
	return outcome{gldap.ResultSuccess, ""}, err == nil && account.EqualFold(dn)
}

// answer decides a search (RFC 4511, 4.5.1) of a client that is the service account or is not.
func (t *tree) answer(m *gldap.SearchMessage, service bool) ([]found, outcome) {
	if m.BaseDN == "" && m.Scope == gldap.BaseObject {
		return []found{{"", rootDSE()}}, outcome{gldap.ResultSuccess, ""}
	}
	if !service {
		return nil, outcome{gldap.ResultInsufficientAccessRights, "only the service account may search"}
	}
	if m.Scope < gldap.BaseObject || m.Scope > gldap.WholeSubtree || m.SizeLimit < 0 {
		return nil, outcome{gldap.ResultProtocolError, "unknown scope or negative size limit"}
	}
	base, err := ldap.ParseDN(m.BaseDN)
	if err != nil {
		return nil, outcome{gldap.ResultInvalidDNSyntax, ""}
	}
	filter, err := ldap.CompileFilter(m.Filter)
	if err != nil {
		return nil, outcome{gldap.ResultProtocolError, "the filter cannot be read"}
	}
	entries, ok := t.search(base, m.Scope, filter)
	if !ok {
		return nil, outcome{gldap.ResultNoSuchObject, ""}
	}
	res := outcome{gldap.ResultSuccess, ""}
	if m.SizeLimit > 0 && int64(len(entries)) > m.SizeLimit {
		entries, res.code = entries[:m.SizeLimit], gldap.ResultSizeLimitExceeded
	}
	out := make([]found, len(entries))
	for i, e := range entries {
		out[i] = found{e.dn, e.selected(m.Attributes)}
	}
	return out, res
}

// rootDSE says what the server can (RFC 4512, 5.1).
func rootDSE() []attribute {
	return []attribute{
		{"objectClass", false, []string{"top"}},
		{"namingContexts", false, []string{BaseDN}},
		{"supportedLDAPVersion", false, []string{"3"}},
		{"vendorName", false, []string{"Switchpoint demo directory"}},
	}
}
