package simulate

import (
	"fmt"
	"math"
	"time"

	"switchpoint/lb/choice"
)

// Report is what a run saw.
type Report struct {
	Seeds     int           `json:"seeds"`
	Length    time.Duration `json:"length_ns"`
	Delay     time.Duration `json:"delay_ns"`
	Scenarios []Scenario    `json:"scenarios"`
	Policies  []Policy      `json:"policies"`
}

// Policy says where a rule is from.
type Policy struct {
	Name string `json:"name"`
	What string `json:"what"`
	Ours bool   `json:"ours,omitempty"`
}

// Scenario is what all rules made of one situation.
type Scenario struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Best is the smallest p99 of those rules that served the requests.
	Best  float64 `json:"best_p99_ms"`
	Rows  []Row   `json:"rows"`
	Gates []Gate  `json:"gates,omitempty"`
}

// Row is one rule in one scenario: medians over the seeds.
type Row struct {
	Policy string `json:"policy"`
	Ours   bool   `json:"ours,omitempty"`
	// Ratio is p99 in parts of the best one.
	Ratio float64 `json:"ratio"`
	figures
	Runs []figures `json:"runs"` // by seed
}

// Gate is a limit of the project, and whether this run keeps it.
type Gate struct {
	What    string  `json:"what"`
	Value   float64 `json:"value"`
	Limit   float64 `json:"limit"`
	AtLeast bool    `json:"at_least,omitempty"` // the limit is a lower one
	Holds   bool    `json:"holds"`
}

const (
	// ourMethod is the one that is held to the limits: the default of lb.
	ourMethod = choice.LeastResponseTimeName
	// mayFail: a rule that fails more of the requests than that is not the best one, however
	// quickly it serves what is left.
	mayFail  = 0.01
	maxRatio = 1.05
	minShare = 0.8
)

func newReport(o Options, games []game) *Report {
	r := &Report{Seeds: o.Seeds, Length: o.Length, Delay: max(0, o.Delay)}
	for _, m := range rules() {
		for i := range games {
			if games[i].rule.name == m.name {
				r.Policies = append(r.Policies, Policy{m.name, m.what, m.ours})
				break
			}
		}
	}
	for i := range games {
		g := &games[i]
		if n := len(r.Scenarios); n == 0 || r.Scenarios[n-1].ID != g.scenario.id {
			r.Scenarios = append(r.Scenarios, Scenario{ID: g.scenario.id, Name: g.scenario.name})
		}
		s := &r.Scenarios[len(r.Scenarios)-1]
		s.Rows = append(s.Rows, Row{Policy: g.rule.name, Ours: g.rule.ours, figures: medians(g.runs), Runs: g.runs})
	}
	for i := range r.Scenarios {
		r.Scenarios[i].judge()
	}
	return r
}

// judge compares the rows and holds ours to the limits.
func (s *Scenario) judge() {
	s.Best = math.Inf(1)
	for _, row := range s.Rows {
		if row.served() {
			s.Best = min(s.Best, row.P99)
		}
	}
	if math.IsInf(s.Best, 1) { // none did
		for _, row := range s.Rows {
			s.Best = min(s.Best, row.P99)
		}
	}
	for i := range s.Rows {
		row := &s.Rows[i]
		row.Ratio = row.P99 / s.Best
		if row.Policy != ourMethod {
			continue
		}
		s.limit("of the best p99", row.Ratio, maxRatio, false)
		switch s.ID {
		case "failer":
			s.limit("errors", row.Errors, mayFail, false)
		case "equal":
			s.limit("of its fair share at least", row.MinShare, minShare, true)
		}
	}
}

// served says whether a rule is one that others can be compared with.
func (row *Row) served() bool { return row.Errors+row.TimeOuts <= mayFail }

func (s *Scenario) limit(what string, value, limit float64, atLeast bool) {
	holds := value <= limit
	if atLeast {
		holds = value >= limit
	}
	s.Gates = append(s.Gates, Gate{what, value, limit, atLeast, holds})
}

// Missed lists the limits that do not hold.
func (r *Report) Missed() []string {
	var out []string
	for _, s := range r.Scenarios {
		for _, g := range s.Gates {
			if !g.Holds {
				out = append(out, s.Name+": "+g.text())
			}
		}
	}
	return out
}

func (g Gate) text() string {
	sign := "<="
	if g.AtLeast {
		sign = ">="
	}
	return fmt.Sprintf("%.3f %s %s %.3g", g.Value, g.What, sign, g.Limit)
}
