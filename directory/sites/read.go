package sites

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"switchpoint/internal/secret"
)

// pageSize is below the 1000 entries that Active Directory gives at once (MaxPageSize).
const pageSize = 500

// Read asks the first server that answers. Its error is ErrRefused when the account is not
// accepted, and names what every server said otherwise.
func Read(ctx context.Context, c Config) (*Set, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.WithDefaults()
	password, err := secret.Read(c.BindPassword)
	if err != nil {
		return nil, fmt.Errorf("read bind_password: %w", err)
	}
	var failures []error
	for _, url := range c.URLs {
		set, err := c.readOne(ctx, url, password)
		if err == nil {
			return set, nil
		}
		failures = append(failures, fmt.Errorf("%s: %w", url, err))
		if errors.Is(err, ErrRefused) || ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(failures...)
}

func (c Config) readOne(ctx context.Context, url, password string) (*Set, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	e, err := c.endpoint(url)
	if err != nil {
		return nil, err
	}
	s, err := open(ctx, e, c.BindDN, password)
	if err != nil {
		return nil, err
	}
	defer s.close()
	entries, err := collect(s.search)
	if err != nil {
		return nil, err
	}
	return newSet(url, time.Now(), entries, nil)
}

// searchFunc is one LDAP search.
type searchFunc func(*ldap.SearchRequest) (*ldap.SearchResult, error)

// collect reads all objects that matter, page by page.
func collect(search searchFunc) ([]entry, error) {
	base, err := configurationDN(search)
	if err != nil {
		return nil, err
	}
	var filter strings.Builder
	for _, class := range classes {
		filter.WriteString("(objectClass=" + class + ")")
	}
	paging := ldap.NewControlPaging(pageSize)
	req := ldap.NewSearchRequest("CN=Sites,"+base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases,
		0, 0, false, "(|"+filter.String()+")", wanted[:], []ldap.Control{paging})
	var entries []entry
	for {
		page, err := search(req)
		if err != nil {
			return nil, fmt.Errorf("read sites: %w", err)
		}
		for _, found := range page.Entries {
			e, err := fromLDAP(search, found)
			if err != nil {
				return nil, err
			}
			entries = append(entries, e)
		}
		if len(entries) > maxEntries {
			return nil, fmt.Errorf("more than %d sites, subnets and links", maxEntries)
		}
		next, ok := ldap.FindControl(page.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging)
		if !ok || len(next.Cookie) == 0 {
			return entries, nil
		}
		paging.SetCookie(next.Cookie)
	}
}

// configurationDN asks the root DSE (MS-ADTS 3.1.1.3.2.2).
func configurationDN(search searchFunc) (string, error) {
	const attr = "configurationNamingContext"
	res, err := search(ldap.NewSearchRequest("", ldap.ScopeBaseObject, ldap.NeverDerefAliases,
		1, 0, false, "(objectClass=*)", []string{attr}, nil))
	if err != nil {
		return "", fmt.Errorf("read the root DSE: %w", err)
	}
	if len(res.Entries) != 1 || res.Entries[0].GetAttributeValue(attr) == "" {
		return "", fmt.Errorf("the server has no %s: it is no domain controller of Active Directory", attr)
	}
	return res.Entries[0].GetAttributeValue(attr), nil
}

func fromLDAP(search searchFunc, found *ldap.Entry) (entry, error) {
	e := entry{dn: found.DN, attrs: make(map[string][]string, len(found.Attributes))}
	for _, a := range found.Attributes {
		name, ranged, ok := wantedName(a.Name)
		if !ok || len(a.Values) == 0 {
			continue
		}
		e.attrs[name] = append(e.attrs[name], a.Values...)
		if ranged == "" {
			continue
		}
		rest, err := remaining(search, found.DN, name, ranged)
		if err != nil {
			return e, fmt.Errorf("read all values of %s of %s: %w", name, printable(found.DN), err)
		}
		e.attrs[name] = append(e.attrs[name], rest...)
	}
	return e, nil
}

// remaining asks for the values that did not fit into one answer: Active Directory gives 1500 of
// an attribute at once and says which ones, as in "siteList;range=0-1499" (MS-ADTS 3.1.1.3.1.3.3).
func remaining(search searchFunc, dn, attr, ranged string) ([]string, error) {
	var rest []string
	for next := 0; ; {
		_, to, _ := strings.Cut(ranged, "-")
		if to == "*" {
			return rest, nil
		}
		last, err := strconv.Atoi(to)
		if err != nil || last < next || last >= maxEntries {
			return nil, fmt.Errorf("the server gave the range %s", quote(ranged))
		}
		next = last + 1
		from := strconv.Itoa(next)
		res, err := search(ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases,
			1, 0, false, "(objectClass=*)", []string{attr + ";range=" + from + "-*"}, nil))
		if err != nil {
			return nil, err
		}
		ranged = ""
		for _, found := range res.Entries {
			for _, a := range found.Attributes {
				name, bounds, ok := wantedName(a.Name)
				if ok && name == attr && strings.HasPrefix(bounds, from+"-") {
					rest, ranged = append(rest, a.Values...), bounds
				}
			}
		}
		if ranged == "" {
			return nil, fmt.Errorf("the server does not give the values from %s on", from)
		}
	}
}
