package redirect

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"switchpoint/internal/problem"
)

// Bounds of the text form: far above any hand-written list, far below what could hurt.
const (
	maxText  = 256 << 10 // bytes in all
	maxLine  = 4 << 10   // bytes in one line
	maxRules = 4096
)

// assignedOnly is the suffix flag of RD4.
const assignedOnly = "if_assigned_only"

// cureForm is what most faults of a line need to be told.
const cureForm = "write: Value > Destination, or: Value > Destination " + assignedOnly

// Rule is one forwarding rule as it was written.
type Rule struct {
	Line           int    // position in the text, from 1
	Text           string // the line without the spaces around it
	Value          string // what the attribute is compared with, unquoted
	Destination    string // name of a destination
	IfAssignedOnly bool   // forward only if a desktop is assigned there (RD4)
}

// ParseRules reads the text form of forwarding rules (RD2, RD4, RD6), one a line:
//
//	Value > Destination [if_assigned_only]
//
// Values may contain spaces. A value that contains ">", or that starts with a double quote or
// "#", or whose outer spaces count, stands in double quotes, where \" and \\ mean " and \. Empty
// lines and lines that start with # are skipped. The error is a problem.List with every bad line.
func ParseRules(text string) ([]Rule, error) {
	var probs problem.List
	if len(text) > maxText {
		probs.Addf("rules", "split the list over several directories, or use a regex", "the rules are %d bytes long, more than %d", len(text), maxText)
		return nil, probs.Err()
	}
	var rules []Rule
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		rule, what, cure := parseRule(line)
		if what != "" {
			probs.Addf("rules", cure, "line %d, %s: %s", number, quoteShort(line), what)
			continue
		}
		rule.Line = number
		rules = append(rules, rule)
	}
	if len(rules) > maxRules {
		probs.Addf("rules", "use contains or a regex to say more with fewer rules", "%d rules, more than %d", len(rules), maxRules)
	}
	if err := probs.Err(); err != nil {
		return nil, err
	}
	return rules, nil
}

// parseRule reads one trimmed line that is no comment. A fault is given as what is wrong and its
// cure; what is empty when the line is good.
func parseRule(line string) (rule Rule, what, cure string) {
	switch {
	case len(line) > maxLine:
		return rule, fmt.Sprintf("the line is %d bytes long, more than %d", len(line), maxLine), "shorten the value"
	case !utf8.ValidString(line):
		return rule, "the line is not UTF-8", "save the file as UTF-8"
	case strings.ContainsFunc(line, isControl):
		return rule, "the line contains a control character", "remove it"
	}
	value, rest, what, cure := splitValue(line)
	if what != "" {
		return rule, what, cure
	}
	words := strings.Fields(rest)
	switch {
	case len(words) == 0:
		return rule, "the destination is missing", cureForm
	case len(words) == 2 && words[1] != assignedOnly:
		return rule, fmt.Sprintf("%q after the destination is not known", words[1]), "the only word allowed there is " + assignedOnly
	case len(words) > 2:
		return rule, "too many words after the destination", cureForm + "; names of destinations have no spaces"
	}
	return Rule{Text: line, Value: value, Destination: words[0], IfAssignedOnly: len(words) == 2}, "", ""
}

// splitValue gives the value of a line and what follows its ">".
func splitValue(line string) (value, rest, what, cure string) {
	if line[0] != '"' {
		value, rest, found := strings.Cut(line, ">")
		switch {
		case !found:
			return "", "", "there is no \">\"", cureForm
		case strings.Contains(rest, ">"):
			return "", "", "there is more than one \">\"", "put a value that contains \">\" in double quotes"
		}
		return strings.TrimSpace(value), rest, "", ""
	}
	value, rest, ok := unquote(line)
	if !ok {
		return "", "", "the quoted value is not closed, or has a \\ before something other than \" and \\", `write it as "...", with \" for a quote and \\ for a backslash`
	}
	rest, found := strings.CutPrefix(strings.TrimLeft(rest, " \t"), ">")
	if !found {
		return "", "", "there is no \">\" after the quoted value", cureForm
	}
	if strings.Contains(rest, ">") {
		return "", "", "there is a second \">\" after the value", cureForm
	}
	return value, rest, "", ""
}

// unquote reads the quoted string at the start of s and gives what follows it.
func unquote(s string) (value, rest string, ok bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			i++
			if i == len(s) || s[i] != '"' && s[i] != '\\' {
				return "", "", false
			}
			b.WriteByte(s[i])
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", false
}

// isControl holds for everything that has no place in a rule; a tab counts as a space.
func isControl(r rune) bool { return r != '\t' && unicode.IsControl(r) }

// quoteShort quotes s for a message and cuts what nobody would read to the end.
func quoteShort(s string) string {
	const limit = 120
	if len(s) <= limit {
		return fmt.Sprintf("%q", s)
	}
	cut := limit
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return fmt.Sprintf("%q...", s[:cut])
}
