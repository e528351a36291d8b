package sites

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
)

// wanted are the attributes that a Set is made of.
var wanted = [...]string{
	"objectClass", "siteObject", "location", "siteList", "siteLinkList", "cost", "replInterval", "options", "uSNChanged",
}

// entry is one object as it came from the directory or from a file. Names of attributes are folded.
type entry struct {
	dn    string
	attrs map[string][]string
}

// wantedName gives the folded name of an attribute that matters. A range option
// ("siteList;range=0-1499", MS-ADTS 3.1.1.3.1.3.3) is cut off and given apart: it says that these
// are only some of the values, unless it ends with "*".
func wantedName(name string) (folded, ranged string, ok bool) {
	name, option, _ := strings.Cut(fold(name), ";")
	for _, w := range wanted {
		if fold(w) == name {
			bounds, isRange := strings.CutPrefix(option, "range=")
			return name, bounds, option == "" || isRange
		}
	}
	return "", "", false
}

// location is for people to read.
func (e entry) location() string {
	return strings.ToValidUTF8(e.first("location"), string(utf8.RuneError))
}

func (e entry) first(name string) string {
	if v := e.attrs[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// usn is 0 when the entry tells none.
func (e entry) usn() uint64 {
	n, err := strconv.ParseUint(e.first("usnchanged"), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func (e entry) is(class string) bool {
	for _, c := range e.attrs["objectclass"] {
		if strings.EqualFold(c, class) {
			return true
		}
	}
	return false
}

// path is a DN as a list of folded names without their types ("cn=Prague" and "CN=prague" are the
// same), the object's own first.
type path struct {
	name string   // of the object itself, as it is written
	rest []string // of its parents, folded
}

// maxDN bounds a DN; Active Directory's names end at 255 characters a part.
const maxDN = 4 << 10

func parsePath(dn string) (path, bool) {
	if len(dn) > maxDN || !utf8.ValidString(dn) {
		return path{}, false
	}
	parsed, err := ldap.ParseDN(dn)
	if err != nil || len(parsed.RDNs) < 2 {
		return path{}, false
	}
	var p path
	for i, rdn := range parsed.RDNs {
		if len(rdn.Attributes) != 1 {
			return path{}, false
		}
		value := rdn.Attributes[0].Value
		switch {
		case value == "" || !utf8.ValidString(value) || strings.Contains(value, "\x00"): // the separator of key
			return path{}, false
		case i == 0:
			p.name = value
		default:
			p.rest = append(p.rest, fold(value))
		}
	}
	return p, true
}

// key is the same for two spellings of one DN.
func (p path) key() string {
	return fold(p.name) + "\x00" + strings.Join(p.rest, "\x00")
}

// under cuts the names of containers off the parents, nearest first, and gives the DN of what is
// above them.
func (p path) under(containers ...string) (above string, ok bool) {
	if len(p.rest) <= len(containers) {
		return "", false
	}
	for i, c := range containers {
		if p.rest[i] != c {
			return "", false
		}
	}
	return strings.Join(p.rest[len(containers):], "\x00"), true
}

// leftover tells an object that replication or deletion left behind: two servers that made the same
// name at once give the loser a name with a line feed and "CNF:" (MS-ADTS 3.1.1.5.1.3), and a
// deleted object gets "DEL:".
func (p path) leftover() (what string, ok bool) {
	_, mark, found := strings.Cut(p.name, "\n")
	switch {
	case found && strings.HasPrefix(mark, "CNF:"):
		return "is a conflict object of replication (CNF): remove it, or rename it to what it should be", true
	case found && strings.HasPrefix(mark, "DEL:"):
		return "is a deleted object (DEL)", true
	}
	for _, name := range p.rest {
		if strings.Contains(name, "\ncnf:") || strings.Contains(name, "\ndel:") {
			return "is below a conflict object of replication or a deleted one", true
		}
	}
	return "", false
}
