package directory

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
)

// Entry is a user as the directory holds it.
type Entry struct {
	DN string
	// ID stays the same when the user is renamed or moved: entryUUID (RFC 4530) or objectGUID,
	// as a UUID in lower case; a directory that has neither gives the normalised DN.
	ID string
	// User is the canonical login name in lower case: sAMAccountName or uid as found, whatever
	// form of it was typed.
	User string
	// Attributes holds what was asked for under the names that the server uses, always with
	// distinguishedName. memberOf, when it was asked for, is what Config.Groups says, nested groups
	// included; a group whose DN the directory does not tell stands there as its SID (S-1-5-...).
	// Values that are not text are given in hexadecimal.
	Attributes map[string][]string

	home *server // that it was read from by way of a referral; else nil
}

// servers are those that hold the entry.
func (e *Entry) servers(order []*server) []*server {
	if e.home != nil {
		return []*server{e.home}
	}
	return order
}

// ownAttributes are read for every user, besides those that rules and policies ask for.
var ownAttributes = [...]string{"distinguishedName", "uid", "sAMAccountName", "userPrincipalName", "entryUUID", "objectGUID"}

// wanted joins the names of what is read, without regard to case. memberOf may be large: it is
// read only where it is the user's groups or the beginning of them.
func (c *Client) wanted(order []*server, lists ...[]string) []string {
	mode := c.mode(order)
	out := slices.Clone(ownAttributes[:])
	for _, list := range append(lists, c.config.Attributes) {
		for _, a := range list {
			if a == "" || slices.ContainsFunc(out, func(s string) bool { return strings.EqualFold(s, a) }) {
				continue
			}
			if strings.EqualFold(a, memberOf) && (mode == GroupsNone || mode == GroupsToken) {
				continue
			}
			out = append(out, a)
		}
	}
	return out
}

// values are those of an attribute, without regard to the case of its name.
func (e *Entry) values(name string) []string {
	if v, ok := e.Attributes[name]; ok {
		return v
	}
	for k, v := range e.Attributes {
		if strings.EqualFold(k, name) {
			return v
		}
	}
	return nil
}

// set replaces an attribute, however the server wrote its name; no values remove it.
func (e *Entry) set(name string, values []string) {
	maps.DeleteFunc(e.Attributes, func(k string, _ []string) bool { return strings.EqualFold(k, name) })
	if len(values) > 0 {
		e.Attributes[name] = values
	}
}

// newEntry makes an Entry of what the server sent for the name n.
func newEntry(found *ldap.Entry, n loginName) Entry {
	e := Entry{DN: found.DN, Attributes: make(map[string][]string, len(found.Attributes)+1)}
	var uid, sam []string
	hasDN := false
	for _, a := range found.Attributes {
		values := textValues(a)
		switch strings.ToLower(a.Name) {
		case "distinguishedname":
			hasDN = true
		case "uid":
			uid = values
		case "samaccountname":
			sam = values
		case "entryuuid":
			if len(values) > 0 {
				e.ID = strings.ToLower(values[0])
			}
		case "objectguid":
			if len(a.ByteValues) > 0 && len(a.ByteValues[0]) == 16 {
				values = []string{guid([16]byte(a.ByteValues[0]))}
				e.ID = values[0]
			}
		}
		e.Attributes[a.Name] = values
	}
	if !hasDN {
		e.Attributes["distinguishedName"] = []string{found.DN}
	}
	if e.ID == "" {
		e.ID = normalDN(found.DN)
	}
	e.User = strings.ToLower(canonical(sam, uid, n))
	return e
}

// canonical picks the login name: sAMAccountName, else the uid that was asked for, else the
// first uid, else what was typed.
func canonical(sam, uid []string, n loginName) string {
	if len(sam) > 0 && sam[0] != "" {
		return sam[0]
	}
	for _, v := range uid {
		if strings.EqualFold(v, n.account) {
			return v
		}
	}
	if len(uid) > 0 && uid[0] != "" {
		return uid[0]
	}
	return n.account
}

func textValues(a *ldap.EntryAttribute) []string {
	values := make([]string, len(a.ByteValues))
	for i, b := range a.ByteValues {
		if utf8.Valid(b) {
			values[i] = string(b)
		} else {
			values[i] = hex.EncodeToString(b)
		}
	}
	return values
}

// guid writes an objectGUID as Active Directory's tools do: the first three fields are stored
// with their bytes in little-endian order.
func guid(b [16]byte) string {
	return fmt.Sprintf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%x-%x", b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8:10], b[10:16])
}

// normalDN writes equal DNs alike: parsed, in lower case, with one way of escaping.
func normalDN(s string) string {
	dn, err := ldap.ParseDN(s)
	if err != nil {
		return strings.ToLower(s)
	}
	return strings.ToLower(dn.String())
}
