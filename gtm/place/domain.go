package place

import "strings"

// maxDomain and maxLabel bound a domain name and its parts (RFC 1035 section 2.3.4).
const (
	maxDomain = 253
	maxLabel  = 63
)

// foldDomain brings a domain name into the form in which names are compared: lower case, no dot
// at the ends. ok is false for what is no name of a computer or of its domain.
func foldDomain(s string) (folded string, ok bool) {
	s = strings.ToLower(strings.Trim(s, "."))
	if s == "" || len(s) > maxDomain {
		return "", false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > maxLabel {
			return "", false
		}
		for i := range len(label) {
			if c := label[i]; c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
				return "", false
			}
		}
	}
	return s, true
}

// suffixes finds the longest configured suffix of a name.
type suffixes map[string]int32

// find gives the suffix and what it stands for. The name is never used for anything else.
func (s suffixes) find(name string) (suffix string, place int32, ok bool) {
	if len(s) == 0 || name == "" {
		return "", 0, false
	}
	name, ok = foldDomain(name)
	for ok {
		if place, found := s[name]; found {
			return name, place, true
		}
		_, name, ok = strings.Cut(name, ".")
	}
	return "", 0, false
}
