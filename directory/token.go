package directory

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// tokenGroups reads the SIDs of all groups that a user of Active Directory is in, directly or
// through other groups (MS-ADTS 3.1.1.4.5.19). It is computed for a read of that one entry only.
func (c *Client) tokenGroups(ctx context.Context, order []*server, dn string) ([][]byte, error) {
	entry, _, err := c.one(ctx, order, dn, ldap.ScopeBaseObject, "(objectClass=*)", []string{"tokenGroups"})
	if err != nil {
		return nil, err
	}
	sids := [][]byte{} // not nil: it was read
	for _, a := range entry.Attributes {
		if strings.EqualFold(a.Name, "tokenGroups") {
			sids = append(sids, a.ByteValues...)
		}
	}
	if len(sids) > maxGroups {
		return nil, errTooManyGroups
	}
	return sids, nil
}

// names gives the DN of each SID, or the SID as text where the directory has no entry for it: a
// group of another domain. What is not in memory is searched in batches.
func (c *Client) names(ctx context.Context, order []*server, sids [][]byte) ([]string, error) {
	now := time.Now()
	var missing [][]byte
	known := make(map[string]string, len(sids))
	for _, sid := range sids {
		dn, ok := c.sids.get(string(sid), now)
		if known[string(sid)] = dn; !ok {
			missing = append(missing, sid)
		}
	}
	base := c.groupBase(order)
	for batch := range slices.Chunk(missing, batchSize) {
		found, err := c.resolve(ctx, order, base, batch)
		if err != nil {
			return nil, err
		}
		for _, sid := range batch {
			known[string(sid)] = found[string(sid)]
			c.sids.put(string(sid), found[string(sid)], now)
		}
	}
	out := make([]string, 0, len(sids))
	for _, sid := range sids {
		name := known[string(sid)]
		if name == "" {
			name = sidText(sid)
		}
		out = append(out, name)
	}
	return out, nil
}

func (c *Client) resolve(ctx context.Context, order []*server, base string, sids [][]byte) (map[string]string, error) {
	var filter strings.Builder
	filter.WriteString("(|")
	for _, sid := range sids {
		filter.WriteString("(objectSid=" + escapeBytes(sid) + ")")
	}
	filter.WriteString(")")
	entries, err := c.all(ctx, order, base, filter.String(), []string{"objectSid"})
	if err != nil {
		return nil, err
	}
	found := make(map[string]string, len(entries))
	for _, e := range entries {
		if sid := e.GetEqualFoldRawAttributeValue("objectSid"); len(sid) > 0 {
			found[string(sid)] = e.DN
		}
	}
	return found, nil
}

// escapeBytes writes octets for a filter (RFC 4515, 3).
func escapeBytes(b []byte) string {
	out := make([]byte, 0, 3*len(b))
	for _, v := range b {
		out = hex.AppendEncode(append(out, '\\'), []byte{v})
	}
	return string(out)
}

// sidText writes a SID as Windows does (MS-DTYP 2.4.2.1): S-1-5-21-... What is no SID is given in
// hexadecimal.
func sidText(b []byte) string {
	if len(b) < 8 || b[0] != 1 || len(b) != 8+4*int(b[1]) {
		return hex.EncodeToString(b)
	}
	authority := uint64(binary.BigEndian.Uint16(b[2:4]))<<32 | uint64(binary.BigEndian.Uint32(b[4:8]))
	var s strings.Builder
	fmt.Fprintf(&s, "S-1-%d", authority)
	for sub := range slices.Chunk(b[8:], 4) {
		fmt.Fprintf(&s, "-%d", binary.LittleEndian.Uint32(sub))
	}
	return s.String()
}
