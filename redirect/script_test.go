package redirect

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"switchpoint/internal/covers"
)

// TestScripts runs testdata/*.rules: one fact or expectation a line. Facts about the directory
// (own, destination, attribute, match, rule, ...) stay until they are said again; "login" starts
// a question, the facts after it (down, visited, assigned) belong to it, and "needs", "want" and
// "why" check its answer.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.rules")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".rules"), func(t *testing.T) {
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			s := &script{t: t}
			lines := bufio.NewScanner(f)
			for n := 1; lines.Scan(); n++ {
				s.place = fmt.Sprintf("%s:%d", file, n)
				s.line(lines.Text())
			}
			if s.checks == 0 {
				t.Fatalf("%s checks nothing", file)
			}
		})
	}
}

type script struct {
	t            *testing.T
	place        string
	own          string
	cfg          Config
	rules        []string
	destinations []Destination
	q            Question
	down         []string
	checks       int
}

func (s *script) line(line string) {
	verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	words := strings.Fields(rest)
	switch verb {
	case "", "#":
	case "covers":
		covers.Req(s.t, words...)
	case "own":
		s.own = rest
	case "destination":
		s.destinations = append(s.destinations, Destination{Name: words[0], Cluster: words[1], URL: "https://" + words[0]})
	case "attribute":
		s.cfg.Attribute = rest
	case "match":
		s.cfg.Match = rest
	case "default":
		s.cfg.Default = rest
	case "home_unavailable":
		s.cfg.HomeUnavailable = rest
	case "case_sensitive":
		sensitive := rest == "true"
		s.cfg.CaseSensitive = &sensitive
	case "rules":
		s.rules = nil
	case "rule":
		s.rules = append(s.rules, rest)
	case "login":
		s.login(rest)
	case "down":
		s.down = words
	case "visited":
		s.q.Visited = words
	case "assigned":
		answer := map[string]Answer{"yes": Yes, "no": No, "silent": NoAnswer}[words[1]]
		s.q.Assigned[words[0]] = Assigned{Answer: answer, Reason: "asked"}
	default:
		s.check(verb, rest, words)
	}
}

func (s *script) login(attributes string) {
	s.down = nil
	s.q = Question{Attributes: map[string][]string{}, Assigned: map[string]Assigned{}}
	for pair := range strings.SplitSeq(attributes, " ; ") {
		name, value, _ := strings.Cut(pair, "=")
		s.q.Attributes[name] = append(s.q.Attributes[name], value)
	}
	s.q.Available = func(d string) (bool, string) {
		if slices.Contains(s.down, d) {
			return false, "connection refused"
		}
		return true, "up for 5 min"
	}
}

func (s *script) check(verb, rest string, words []string) {
	s.checks++
	s.cfg.Rules = strings.Join(s.rules, "\n")
	table, err := Compile(s.cfg, s.destinations, s.own)
	if err != nil {
		s.t.Fatalf("%s: %v", s.place, err)
	}
	d := Decide(table, s.q)
	switch verb {
	case "needs":
		if got := Needs(table, s.q); !slices.Equal(got, words) {
			s.t.Errorf("%s: Needs is %q, want %q", s.place, got, words)
		}
	case "want":
		got := d.Action.String()
		if d.Destination != nil {
			got += fmt.Sprintf(" %s line %d", d.Destination.Name, d.Rule.Line)
		}
		if got != rest {
			s.t.Errorf("%s: decided %q, want %q; reasons:\n%s", s.place, got, rest, strings.Join(d.Reason, "\n"))
		}
	case "why":
		if !strings.Contains(strings.Join(d.Reason, "\n"), rest) {
			s.t.Errorf("%s: the reasons do not say %q:\n%s", s.place, rest, strings.Join(d.Reason, "\n"))
		}
	default:
		s.t.Fatalf("%s: %q is no word of a script", s.place, verb)
	}
}
