package clusterbench

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// statement is one that the server was sent, with the text of its parameters; a nil one is NULL.
type statement struct {
	sql    string
	params []*string
}

var executed = regexp.MustCompile(`(?:LOG|DETAIL):  (?:execute [^:]*: (.*)|[Pp]arameters: (.*))$`)

// captured reads the statements with a text from the log of a server that logs them all. A line that
// goes on begins with a tab.
func captured(log, containing string) []statement {
	var out []statement
	wanted := false
	for _, line := range strings.Split(strings.ReplaceAll(log, "\n\t", "\x00"), "\n") {
		m := executed.FindStringSubmatch(line)
		switch {
		case m == nil:
		case m[1] != "":
			if wanted = strings.Contains(m[1], containing); wanted {
				out = append(out, statement{sql: strings.ReplaceAll(m[1], "\x00", "\n")})
			}
		case wanted:
			out[len(out)-1].params = parameters(strings.ReplaceAll(m[2], "\x00", "\n"))
			wanted = false
		}
	}
	return out
}

var parameter = regexp.MustCompile(`\$\d+ = (?:'((?:[^']|'')*)'|NULL)(?:, |$)`)

// parameters reads "$1 = 'a', $2 = NULL".
func parameters(text string) []*string {
	var out []*string
	for _, m := range parameter.FindAllStringSubmatchIndex(text, -1) {
		if m[2] < 0 {
			out = append(out, nil)
			continue
		}
		v := strings.ReplaceAll(text[m[2]:m[3]], "''", "'")
		out = append(out, &v)
	}
	return out
}

// script is what pgbench runs: the statement with its parameters as variables of pgbench. Those that
// differ between two logins are made anew for each transaction, by expressions in their places.
type script struct {
	text    string
	file    string
	defines []string // options with the values of the others
}

var (
	place    = regexp.MustCompile(`\$(\d+)\b`)
	uuidForm = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
)

// next is a number that no other transaction has, and that grows with time as the ids of the
// application do.
const next = `\set n :n + 1
\set id :start * 1000 + :n * 100 + :client_id
\set user random(1, 50000)
`

func newScript(a, b statement, types string) (*script, error) {
	kinds := strings.Split(strings.TrimSpace(types), "\n")
	if len(a.params) == 0 || len(a.params) != len(b.params) || len(kinds) != len(a.params) {
		return nil, fmt.Errorf("the statement has %d types and was sent with %d and %d parameters", len(kinds), len(a.params), len(b.params))
	}
	s := &script{defines: []string{"--define=n=0"}}
	values := make([]string, len(a.params))
	for i, p := range a.params {
		kind := kinds[i]
		switch {
		case p == nil:
			values[i] = "NULL::" + kind
		case *p == "": // pgbench has no empty variables
			values[i] = "(''::" + kind + ")"
		case b.params[i] != nil && *p == *b.params[i]:
			name := "p" + strconv.Itoa(i+1)
			s.defines = append(s.defines, "--define="+name+"="+*p)
			values[i] = "(:" + name + "::" + kind + ")"
		case kind == "uuid" && uuidForm.MatchString(*p):
			values[i] = "(lpad(:id, 32, '0')::uuid)"
		case kind == "bytea":
			values[i] = "(decode(lpad(:id, 64, '0'), 'hex'))"
		case kind == "text" && *p == "first":
			values[i] = "('user' || :user)"
		case kind == "text":
			values[i] = "(:id::text)"
		default:
			return nil, fmt.Errorf("parameter $%d of the login statement, a %s, differs from login to login, and this benchmark cannot make such values", i+1, kind)
		}
	}
	sql := place.ReplaceAllStringFunc(a.sql, func(p string) string {
		n, err := strconv.Atoi(p[1:])
		if err != nil || n < 1 || n > len(values) {
			return p // the server would have refused it
		}
		return values[n-1]
	})
	s.text = next + sql + ";\n"
	return s, nil
}
