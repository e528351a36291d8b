package redirect

import (
	"fmt"
	"slices"
	"strings"
)

// Answer says whether a destination's cluster has a desktop assigned to the user.
type Answer uint8

// The answers; the zero value is NoAnswer, so that who was not asked has not answered.
const (
	NoAnswer Answer = iota
	Yes
	No
)

// String gives the word for people.
func (a Answer) String() string { return [...]string{"no answer", "yes", "no"}[a] }

// Assigned is the answer of one destination with its reason ("asked us-broker-1", "time-out").
type Assigned struct {
	Answer Answer
	Reason string
}

// Question is one login as the rules see it.
type Question struct {
	// Attributes are the user's, from the directory; the case of their names does not count.
	Attributes map[string][]string
	// Available says whether a destination can take logins, and why. Nil assumes that all can.
	Available func(destination string) (bool, string)
	// Assigned holds the answers for if_assigned_only, by name of destination.
	Assigned map[string]Assigned
	// Visited are the clusters that have already redirected this login (RD8).
	Visited []string
}

// Action is what a decision tells the broker to do.
type Action uint8

// The actions.
const (
	LogInHere Action = iota
	Forward
	Reject
	HomeUnavailable
)

// String gives the word that logs, metrics and pages use.
func (a Action) String() string {
	return [...]string{"log-in-here", "forward", "reject", "home-unavailable"}[a]
}

// Decision is the answer to a Question. Destination and Rule belong to the table: read only.
type Decision struct {
	Action Action
	// Destination is where to forward to, or the one of the own cluster that means "here", or
	// with no destination possible the first that a rule named; nil if no rule applied.
	Destination *Destination
	// Rule is the one that Destination comes from; nil if no rule applied.
	Rule *Rule
	// Reason says of every rule looked at why it was taken or not, then what was decided.
	Reason []string
}

// verdict is what one rule comes to; see the truth table in doc.go.
type verdict uint8

const (
	notApplied  verdict = iota
	unanswered          // would be taken if the destination said that a desktop is assigned
	notPossible         // applies, but one cannot go there
	taken
)

// Decide searches the rules top down and takes the first that applies and can be followed (RD2).
func Decide(t *Table, q Question) Decision {
	d := Decision{Reason: make([]string, 0, len(t.rules)+1)}
	values := attribute(q.Attributes, t.attribute)
	blocked := false
	for i := range t.rules {
		r := &t.rules[i]
		v, why := judge(t, r, q, values)
		d.Reason = append(d.Reason, fmt.Sprintf("line %d, %s: %s", r.Line, quoteShort(r.Text), why))
		switch v {
		case taken:
			d.Rule, d.Destination, d.Action = &r.Rule, r.destination, Forward
			if r.destination.Cluster == t.ownCluster {
				d.Action = LogInHere
			}
			return d
		case notPossible:
			if !blocked {
				d.Rule, d.Destination, blocked = &r.Rule, r.destination, true
			}
		}
	}
	var why string
	d.Action, why = t.otherwise(blocked)
	d.Reason = append(d.Reason, why)
	return d
}

// otherwise is the outcome when no rule was taken.
func (t *Table) otherwise(blocked bool) (Action, string) {
	switch {
	case blocked && t.unavailableHere:
		return LogInHere, "a rule applies, but no destination can be reached: home_unavailable says log in here"
	case blocked:
		return HomeUnavailable, "a rule applies, but no destination can be reached: home_unavailable says refuse"
	case t.reject:
		return Reject, "no rule applies: the default is to reject the login"
	}
	return LogInHere, "no rule applies: the default is to log in here"
}

// Needs gives the names of the destinations whose answer on assigned desktops the decision may
// turn on and that are not in q.Assigned yet, in the order of the rules. Destinations that are
// unavailable or visited are left out: their answer could change nothing, and asking them would
// cost the time-out. One of the own cluster may be among them: its own store knows.
func Needs(t *Table, q Question) []string {
	var names []string
	values := attribute(q.Attributes, t.attribute)
	for i := range t.rules {
		r := &t.rules[i]
		switch v, _ := judge(t, r, q, values); v {
		case taken:
			return names // no later rule is looked at, whatever the answers
		case unanswered:
			if _, asked := q.Assigned[r.Destination]; !asked && !slices.Contains(names, r.Destination) {
				names = append(names, r.Destination)
			}
		}
	}
	return names
}

// judge looks at one rule.
func judge(t *Table, r *compiled, q Question, values []string) (verdict, string) {
	applies, value, found := r.pattern.applies(values)
	if !applies {
		return notApplied, "does not apply, " + fact(t, r, value, found)
	}
	can, why := reachable(t, r.destination, q)
	if r.IfAssignedOnly {
		a := q.Assigned[r.Destination]
		switch {
		case a.Answer == No:
			return notApplied, "does not apply, no desktop is assigned there" + inBrackets(a.Reason)
		case a.Answer == NoAnswer && !can:
			return notApplied, "does not apply, " + why + ", so it was not asked for an assigned desktop"
		case a.Answer == NoAnswer:
			return unanswered, "does not apply, no answer on whether a desktop is assigned there" + inBrackets(a.Reason)
		}
	}
	if !can {
		return notPossible, "applies, but " + why
	}
	return taken, "taken, " + fact(t, r, value, found) + ", and " + why
}

// reachable says whether a login may go to d.
func reachable(t *Table, d *Destination, q Question) (bool, string) {
	if d.Cluster == t.ownCluster {
		return true, "the destination is this cluster"
	}
	if slices.Contains(q.Visited, d.Cluster) {
		return false, fmt.Sprintf("the login has already been to cluster %s", d.Cluster)
	}
	if q.Available == nil {
		return true, "the destination is assumed to be available"
	}
	up, why := q.Available(d.Name)
	if !up {
		return false, "the destination is not available" + inBrackets(why)
	}
	return true, "the destination is available" + inBrackets(why)
}

// fact says what the attribute had to do with the rule.
func fact(t *Table, r *compiled, value string, found bool) string {
	switch {
	case found && t.match == matchExists:
		return fmt.Sprintf("%s is %s", t.attribute, quoteShort(value))
	case found:
		return fmt.Sprintf("%s %s %s %s", t.attribute, quoteShort(value), t.match.verb(), quoteShort(r.Value))
	case t.match == matchExists:
		return fmt.Sprintf("%s has no value", t.attribute)
	}
	return fmt.Sprintf("no value of %s %s %s", t.attribute, t.match.verb(), quoteShort(r.Value))
}

func inBrackets(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

// attribute finds the values of an attribute; its name is not case sensitive (RFC 4512, 2.5).
func attribute(all map[string][]string, name string) []string {
	if values, ok := all[name]; ok {
		return values
	}
	for k, values := range all {
		if strings.EqualFold(k, name) {
			return values
		}
	}
	return nil
}
