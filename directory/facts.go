package directory

import (
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// Object identifiers that a rootDSE names.
const (
	capabilityAD        = "1.2.840.113556.1.4.800" // MS-ADTS 3.1.1.3.4.3.1
	controlPolicy       = "1.3.6.1.4.1.42.2.27.8.5.1"
	extensionPassModify = "1.3.6.1.4.1.4203.1.11.1" // RFC 3062
)

// facts are what a server's rootDSE (RFC 4512, 5.1) says that it can.
type facts struct {
	ad             bool     // Active Directory
	policy         bool     // tells the state of a password with a bind (draft-behera-ldap-password-policy)
	passwordModify bool     // RFC 3062
	contexts       []string // DNs of the trees that it holds
}

// factsRequest asks for them. Every server lets anybody read its rootDSE.
func factsRequest(limit int) *ldap.SearchRequest {
	return ldap.NewSearchRequest("", ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, limit, false, "(objectClass=*)",
		[]string{"supportedCapabilities", "supportedControl", "supportedExtension", "namingContexts"}, nil)
}

func newFacts(rootDSE *ldap.Entry) *facts {
	has := func(attribute, id string) bool {
		return slices.Contains(rootDSE.GetEqualFoldAttributeValues(attribute), id)
	}
	return &facts{
		ad:             has("supportedCapabilities", capabilityAD),
		policy:         has("supportedControl", controlPolicy),
		passwordModify: has("supportedExtension", extensionPassModify),
		contexts:       rootDSE.GetEqualFoldAttributeValues("namingContexts"),
	}
}

// context is the tree of the server that holds dn: its smallest naming context above it, or dn
// itself where none is known.
func (f *facts) context(dn string) string {
	if f == nil {
		return dn
	}
	below, best := ","+normalDN(dn), ""
	for _, c := range f.contexts {
		if n := normalDN(c); n != "" && strings.HasSuffix(below, ","+n) && len(n) > len(normalDN(best)) {
			best = c
		}
	}
	if best == "" {
		return dn
	}
	return best
}
