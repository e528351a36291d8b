package directory

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
)

// maxName bounds a login name, in bytes; sAMAccountName has 20 characters, a UPN 113 at most in
// practice.
const maxName = 256

// DefaultUserFilter finds users of OpenLDAP and of Active Directory alike: a server that does
// not know one of the attributes treats its part as undefined and still finds by the others.
const DefaultUserFilter = "(|(uid={user})(sAMAccountName={user})(userPrincipalName={upn}))"

// loginName is what a user typed, taken apart.
type loginName struct {
	account string // compared with uid and sAMAccountName
	full    string // compared with userPrincipalName
}

// parseName normalises `DOM\user`, `user@upn` and `user`. domain is the directory's own DNS
// domain: only of a name in that domain may the part before the @ stand alone. Elsewhere
// alice@uk.company.com would find the alice of us.company.com, who is somebody else.
func parseName(typed, domain string) (loginName, error) {
	name := strings.TrimSpace(typed)
	if i := strings.LastIndexByte(name, '\\'); i >= 0 {
		name = strings.TrimSpace(name[i+1:])
	}
	bad := name == "" || len(typed) > maxName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl)
	if bad {
		return loginName{}, &RefusedError{Code: CodeBadName}
	}
	n := loginName{account: name, full: name}
	if i := strings.LastIndexByte(name, '@'); i > 0 && domain != "" && strings.EqualFold(name[i+1:], domain) {
		n.account = name[:i]
	}
	return n, nil
}

// names says whether an entry that was found may be signed in under the name as it was typed. Directories
// compare by foldings of their own, for which letters of full width, of mathematics or with accents are
// those of ASCII (RFC 4518, 2.3): under these one account would have as many names as it has lookalikes, and
// whoever counts failures by name would give each of them its own guesses. So a name that is not ASCII has to
// stand in the entry, but for its case, unless the entry's own names are not ASCII either.
func (n loginName) names(e Entry) bool {
	if isASCII(n.full) {
		return true
	}
	stands := func(v string) bool { return strings.EqualFold(v, n.full) || strings.EqualFold(v, n.account) }
	for _, values := range e.Attributes {
		if slices.ContainsFunc(values, stands) {
			return true
		}
	}
	if dn, err := ldap.ParseDN(e.DN); err == nil && len(dn.RDNs) > 0 {
		for _, a := range dn.RDNs[0].Attributes {
			if stands(a.Value) {
				return true
			}
		}
	}
	return !isASCII(strings.Join(slices.Concat(e.values("uid"), e.values("sAMAccountName"), e.values("userPrincipalName")), ""))
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}

// filterTemplate is a user filter cut at its placeholders, once: what a user types is never looked
// at for placeholders.
type filterTemplate []string

var placeholder = regexp.MustCompile(`\{user\}|\{upn\}`)

func newFilterTemplate(filter string) filterTemplate {
	var t filterTemplate
	end := 0
	for _, at := range placeholder.FindAllStringIndex(filter, -1) {
		t = append(t, filter[end:at[0]], filter[at[0]:at[1]])
		end = at[1]
	}
	return append(t, filter[end:])
}

// build puts a name in, escaped (RFC 4515, 3).
func (t filterTemplate) build(n loginName) string {
	account, full := ldap.EscapeFilter(n.account), ""
	var b strings.Builder
	for _, part := range t {
		switch part {
		case "{user}":
			part = account
		case "{upn}":
			if full == "" {
				full = ldap.EscapeFilter(n.full)
			}
			part = full
		}
		b.WriteString(part)
	}
	return b.String()
}

// baseDomain gives the DNS domain of a base DN: "ou=x,dc=company,dc=com" is company.com. It is
// empty when the DN has no dc components.
func baseDomain(base string) string {
	dn, err := ldap.ParseDN(base)
	if err != nil {
		return ""
	}
	var labels []string
	for _, rdn := range dn.RDNs {
		for _, a := range rdn.Attributes {
			if strings.EqualFold(a.Type, "dc") {
				labels = append(labels, a.Value)
			}
		}
	}
	return strings.Join(labels, ".")
}
