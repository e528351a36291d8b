package redirect

import (
	"regexp"
	"slices"
	"strings"

	"switchpoint/internal/problem"
)

// Table is a compiled Config. It never changes and may be used by many goroutines.
type Table struct {
	attribute       string
	match           match
	rules           []compiled
	destinations    map[string]*Destination
	ownCluster      string
	reject          bool // Default
	unavailableHere bool // HomeUnavailable is log-in-here
}

// compiled is a rule with everything that its decision needs.
type compiled struct {
	Rule
	pattern     pattern
	destination *Destination
}

// Compile checks cfg against the destinations that exist and makes the table of it. ownCluster
// is the cluster that asks: a destination of it means "log in here" (RD9). The error is a
// problem.List; a rule's fault carries its line.
func Compile(cfg Config, destinations []Destination, ownCluster string) (*Table, error) {
	parsed, probs := cfg.check()
	kind, _ := parseMatch(cfg.Match)
	t := &Table{
		attribute:       cfg.Attribute,
		match:           kind,
		ownCluster:      ownCluster,
		reject:          cfg.Default == optionReject,
		unavailableHere: cfg.HomeUnavailable == optionLogInHere,
		destinations:    make(map[string]*Destination),
	}
	named := make(map[string]int) // how often
	for _, d := range destinations {
		named[d.Name]++
		t.destinations[d.Name] = &d
	}
	rules, faults := compileRules(cfg, parsed)
	probs = append(probs, faults...)
	for i := range rules {
		r := &rules[i]
		switch named[r.Destination] {
		case 0:
			probs.Addf("rules", unknownCure(destinations), "line %d, %s: there is no destination %q", r.Line, quoteShort(r.Text), r.Destination)
		case 1:
			r.destination = t.destinations[r.Destination]
		default:
			probs.Addf("rules", "give every destination its own name", "line %d, %s: %d destinations are named %q", r.Line, quoteShort(r.Text), named[r.Destination], r.Destination)
		}
	}
	if err := probs.Err(); err != nil {
		return nil, err
	}
	t.rules = rules
	return t, nil
}

// unknownCure lists the names that would have been right.
func unknownCure(destinations []Destination) string {
	if len(destinations) == 0 {
		return "add a [[destination]] of that name"
	}
	names := make([]string, len(destinations))
	for i, d := range destinations {
		names[i] = d.Name
	}
	slices.Sort(names)
	const shown = 8
	if len(names) > shown {
		names = append(names[:shown], "...")
	}
	return "add a [[destination]] of that name, or use one of: " + strings.Join(names, ", ")
}

// compileRules makes the patterns; a match that is not known was reported by check.
func compileRules(cfg Config, rules []Rule) ([]compiled, problem.List) {
	var probs problem.List
	kind, ok := parseMatch(cfg.Match)
	if !ok {
		return nil, nil
	}
	fold := cfg.CaseSensitive != nil && !*cfg.CaseSensitive
	out := make([]compiled, len(rules))
	for i, r := range rules {
		p := pattern{kind: kind, fold: fold, value: r.Value}
		switch {
		case kind == matchExists:
		case r.Value == "":
			probs.Addf("rules", "write a value before the \">\"; to forward everybody who has the attribute, use match = \"any-value-exists\"", "line %d, %s: the value is empty", r.Line, quoteShort(r.Text))
		case kind == matchRegex:
			var err error
			if p.regexp, err = compileRegexp(r.Value, fold); err != nil {
				probs.Addf("rules", "correct the regular expression (RE2 syntax)", "line %d, %s: %s", r.Line, quoteShort(r.Text), err)
			}
		case fold:
			p.value = strings.ToLower(r.Value)
		}
		out[i] = compiled{Rule: r, pattern: p}
	}
	return out, probs
}

func compileRegexp(value string, fold bool) (*regexp.Regexp, error) {
	if fold {
		value = "(?i)" + value
	}
	return regexp.Compile(value)
}

// Attribute is the directory attribute that the rules look at; the search has to read it.
func (t *Table) Attribute() string { return t.attribute }

// Rules gives the rules in their order. They belong to the table: read only.
func (t *Table) Rules() []Rule {
	rules := make([]Rule, len(t.rules))
	for i := range t.rules {
		rules[i] = t.rules[i].Rule
	}
	return rules
}

// Destination gives the destination of that name.
func (t *Table) Destination(name string) (Destination, bool) {
	d, ok := t.destinations[name]
	if !ok {
		return Destination{}, false
	}
	return *d, true
}
