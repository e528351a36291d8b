package broker

import (
	"switchpoint/healthcheck"
	"switchpoint/redirect"
)

// RedirectStatus is how the redirect rules stand at this broker: they, and how often each decided a
// login since it started, or since the rule was changed.
type RedirectStatus struct {
	Rules        []RuleStatus        `json:"rules"`
	Destinations []DestinationStatus `json:"destinations"`
}

// RuleStatus is one rule, or a directory that has none (Line 0).
type RuleStatus struct {
	Directory   string            `json:"directory"`
	Summary     string            `json:"summary"` // attribute, match and what counts when no rule is taken
	Line        int               `json:"line"`
	Text        string            `json:"text"`
	Destination string            `json:"destination"`
	Hits        uint64            `json:"hits"`
	Outcomes    map[string]uint64 `json:"outcomes,omitempty"` // hits by redirect.Action
}

// DestinationStatus is one destination as this broker sees it now.
type DestinationStatus struct {
	Name      string            `json:"name"`
	Cluster   string            `json:"cluster"`
	URL       string            `json:"url"`
	Here      bool              `json:"here"` // it is this cluster: log in here
	State     healthcheck.State `json:"state"`
	Available bool              `json:"available"`
	Why       string            `json:"why"`
	Ticket    string            `json:"ticket"` // why users of it get no ticket, or empty
}

// RedirectStatus lists the rules with their hits, and the destinations with their states.
func (b *Broker) RedirectStatus() RedirectStatus {
	t := b.table.Load()
	out := RedirectStatus{Rules: []RuleStatus{}, Destinations: []DestinationStatus{}}
	for i := range t.directories {
		d := &t.directories[i]
		if d.redirect == nil {
			out.Rules = append(out.Rules, RuleStatus{Directory: d.config.Name, Summary: "no rules: log in here"})
			continue
		}
		summary := t.setup.Directories[i].Redirect.Summary()
		for _, r := range d.redirect.Rules() {
			s := RuleStatus{Directory: d.config.Name, Summary: summary, Line: r.Line, Text: r.Text, Destination: r.Destination}
			for action, n := range d.hits[ruleKey{r.Line, r.Text}].load() {
				if n > 0 {
					if s.Outcomes == nil {
						s.Outcomes = make(map[string]uint64)
					}
					s.Outcomes[redirect.Action(action).String()] = n
					s.Hits += n
				}
			}
			out.Rules = append(out.Rules, s)
		}
	}
	available := b.availability(t)
	for _, d := range t.setup.Destinations {
		out.Destinations = append(out.Destinations, b.destinationStatus(d, available))
	}
	return out
}

func (b *Broker) destinationStatus(d redirect.Destination, available func(string) (bool, string)) DestinationStatus {
	s := DestinationStatus{Name: d.Name, Cluster: d.Cluster, URL: d.URL, Available: true}
	if d.Cluster == b.cfg.Cluster {
		s.Here, s.Why = true, "this cluster: log in here"
		return s
	}
	s.Ticket = b.takesNone(d)
	if available == nil {
		s.Why = "this process checks nothing"
		return s
	}
	if key, err := checkKey(d); err == nil {
		s.State = b.o.Snapshot().Get(b.o.Ref(key)).State
	}
	s.Available, s.Why = available(d.Name)
	return s
}
