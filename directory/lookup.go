package directory

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// stateAttributes say whether an account may be used: of Active Directory (MS-ADTS 2.2.16), of
// OpenLDAP's password policy, and of 389 Directory Server.
var stateAttributes = [...]string{"userAccountControl", "msDS-User-Account-Control-Computed", "accountExpires", "pwdAccountLockedTime", "nsAccountLock"}

// Lookup finds the user with that Entry.ID, who has not given a password here: another cluster
// vouches for him. An entry that is not there, that UserFilter does not select, or whose account is
// disabled, expired or locked is ErrNoUser, because no bind will notice. attrs and groups are as in
// Authenticate.
func (c *Client) Lookup(ctx context.Context, id string, attrs []string) (Entry, error) {
	start := time.Now()
	entry, err := c.lookup(ctx, id, attrs)
	c.metrics.observe("lookup", start, err)
	return entry, seldom("look up a user", err)
}

func (c *Client) lookup(ctx context.Context, id string, attrs []string) (Entry, error) {
	order := c.order(ctx)
	base, scope, filter, err := c.byID(id)
	if err != nil {
		return Entry{}, err
	}
	ask := c.wanted(order, attrs, stateAttributes[:])
	found, from, err := c.one(ctx, order, base, scope, filter, ask)
	if err != nil {
		return Entry{}, err
	}
	entry := newEntry(found, loginName{})
	entry.home = from
	order = entry.servers(order)
	if !strings.EqualFold(entry.ID, id) && entry.ID != normalDN(id) {
		return Entry{}, fmt.Errorf("the directory gave another entry for an id")
	}
	if why := entry.unusable(time.Now()); why != "" {
		return Entry{}, fmt.Errorf("%s: %w", why, ErrNoUser)
	}
	if err := c.isUser(ctx, order, entry); err != nil {
		return Entry{}, err
	}
	for _, a := range stateAttributes {
		if !containsFold(attrs, a) && !containsFold(c.config.Attributes, a) {
			entry.set(a, nil)
		}
	}
	g := c.groupsOf(order, attrs)
	return entry, g.fill(ctx, &entry)
}

// byID makes the search for an Entry.ID: an entryUUID, an objectGUID, or the DN of an entry that
// has neither.
func (c *Client) byID(id string) (base string, scope int, filter string, err error) {
	if raw, ok := parseGUID(id); ok {
		return c.config.BaseDN, ldap.ScopeWholeSubtree, "(|(entryUUID=" + ldap.EscapeFilter(id) + ")(objectGUID=" + escapeBytes(raw[:]) + "))", nil
	}
	if dn, err := ldap.ParseDN(id); err == nil && len(id) <= 4*maxName {
		if base, err := ldap.ParseDN(c.config.BaseDN); err == nil && base.AncestorOfFold(dn) {
			return id, ldap.ScopeBaseObject, "(objectClass=*)", nil
		}
	}
	return "", 0, "", &RefusedError{Code: CodeBadName}
}

// parseGUID reads a UUID as guid writes it, into the octets of an objectGUID.
func parseGUID(id string) (out [16]byte, ok bool) {
	if len(id) != 36 || id[8] != '-' || id[13] != '-' || id[18] != '-' || id[23] != '-' {
		return out, false
	}
	b, err := hex.DecodeString(strings.ReplaceAll(id, "-", ""))
	if err != nil || len(b) != 16 {
		return out, false
	}
	return [16]byte{b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]}, true
}

// isUser says whether UserFilter, which may keep some entries out, selects this one by the name
// that it signs in with.
func (c *Client) isUser(ctx context.Context, order []*server, e Entry) error {
	name := loginName{account: e.User, full: e.User}
	if upn := e.values("userPrincipalName"); len(upn) > 0 {
		name.full = upn[0]
	}
	_, _, err := c.one(ctx, order, e.DN, ldap.ScopeBaseObject, c.filter.build(name), []string{"1.1"})
	return err
}

// Bits of userAccountControl (MS-ADTS 2.2.16).
const (
	accountDisabled = 0x2
	accountLocked   = 0x10
)

// neverExpires is accountExpires of an account that does not, besides 0.
const neverExpires = 1<<63 - 1

// unusable says why an account may not be used; empty: it may. What cannot be read counts against
// it.
func (e *Entry) unusable(now time.Time) string {
	for _, name := range []string{"userAccountControl", "msDS-User-Account-Control-Computed"} {
		for _, v := range e.values(name) {
			flags, err := strconv.ParseInt(v, 10, 64)
			switch {
			case err != nil || flags&accountDisabled != 0:
				return "account disabled"
			case flags&accountLocked != 0 && name != "userAccountControl":
				return "account locked"
			}
		}
	}
	for _, v := range e.values("accountExpires") {
		at, err := strconv.ParseInt(v, 10, 64)
		if err != nil || at != 0 && at != neverExpires && !now.Before(fileTime(at)) {
			return "account expired"
		}
	}
	if len(e.values("pwdAccountLockedTime")) > 0 {
		return "account locked"
	}
	for _, v := range e.values("nsAccountLock") {
		if !strings.EqualFold(v, "false") {
			return "account disabled"
		}
	}
	return ""
}

// fileTime is a moment as Windows counts it: in 100 ns since 1601 (MS-DTYP 2.3.3).
func fileTime(v int64) time.Time {
	const toUnix = 11_644_473_600 // seconds from 1601 to 1970
	return time.Unix(v/1e7-toUnix, v%1e7*100)
}

func containsFold(list []string, name string) bool {
	for _, s := range list {
		if strings.EqualFold(s, name) {
			return true
		}
	}
	return false
}
