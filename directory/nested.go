package directory

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// nested gives the groups that a user is in, then those that these groups are in, level by level
// until there is none that is new: so groups that hold each other end it too. The first level is
// memberOf, which the search has read, or where the server has none the groups that name the user.
func (c *Client) nested(ctx context.Context, order []*server, e *Entry) ([]string, error) {
	base := c.groupBase(order)
	level := e.values(memberOf)
	if len(level) == 0 {
		direct, err := c.all(ctx, order, base, directFilter(e), []string{"1.1"})
		if err != nil {
			return nil, err
		}
		level = namesOf(direct)
	}
	seen := make(map[string]bool)
	var out []string
	for depth := 0; ; depth++ {
		var fresh []string
		for _, dn := range level {
			if n := normalDN(dn); !seen[n] {
				seen[n] = true
				fresh = append(fresh, dn)
			}
		}
		out = append(out, fresh...)
		switch {
		case len(fresh) == 0:
			return out, nil
		case len(out) > maxGroups:
			return nil, errTooManyGroups
		case depth == maxLevels:
			return nil, fmt.Errorf("groups are in groups over more than %d levels", maxLevels)
		}
		var err error
		if level, err = c.above(ctx, order, base, fresh); err != nil {
			return nil, err
		}
	}
}

// directFilter selects the groups that name a user: groupOfNames, groupOfUniqueNames and
// posixGroup. A server that does not know one of these attributes treats its part as undefined.
func directFilter(e *Entry) string {
	return "(|" + memberFilter(e.DN) + "(&(objectClass=posixGroup)(memberUid=" + ldap.EscapeFilter(e.User) + ")))"
}

// memberFilter selects the groups that have any of these entries as a member. member is asked
// without a class, because groups have many; uniqueMember with one, because servers seldom have an
// index of it.
func memberFilter(dns ...string) string {
	var b, unique strings.Builder
	b.WriteString("(|")
	for _, dn := range dns {
		esc := ldap.EscapeFilter(dn)
		b.WriteString("(member=" + esc + ")")
		unique.WriteString("(uniqueMember=" + esc + ")")
	}
	return b.String() + "(&(objectClass=groupOfUniqueNames)(|" + unique.String() + ")))"
}

// above gives the groups that any of these groups is in.
func (c *Client) above(ctx context.Context, order []*server, base string, dns []string) ([]string, error) {
	now := time.Now()
	var out, ask []string
	for _, dn := range dns {
		if known, ok := c.parents.get(normalDN(dn), now); ok {
			out = append(out, known...)
		} else {
			ask = append(ask, dn)
		}
	}
	for batch := range slices.Chunk(ask, batchSize) {
		found, err := c.parentsOf(ctx, order, base, batch)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

// parentsOf asks for many groups at once, since most are in no other, and takes the batch apart
// where some are: what is known of each group serves the next user.
func (c *Client) parentsOf(ctx context.Context, order []*server, base string, dns []string) ([]string, error) {
	found, err := c.all(ctx, order, base, memberFilter(dns...), []string{"1.1"})
	if err != nil {
		return nil, err
	}
	switch now := time.Now(); {
	case len(found) == 0:
		for _, dn := range dns {
			c.parents.put(normalDN(dn), nil, now)
		}
		return nil, nil
	case len(dns) == 1:
		parents := namesOf(found)
		c.parents.put(normalDN(dns[0]), parents, now)
		return parents, nil
	}
	first, err := c.parentsOf(ctx, order, base, dns[:len(dns)/2])
	if err != nil {
		return nil, err
	}
	second, err := c.parentsOf(ctx, order, base, dns[len(dns)/2:])
	return append(first, second...), err
}

func namesOf(entries []*ldap.Entry) []string {
	dns := make([]string, len(entries))
	for i, e := range entries {
		dns[i] = e.DN
	}
	return dns
}
