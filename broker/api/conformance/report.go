package conformance

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Results of a scenario.
const (
	Passed    = "passed"
	Failed    = "FAILED" // it broke a rule that clients must keep
	NotPlayed = "not played"
)

// Result is how a client did in one scenario.
type Result struct {
	Scenario string    `json:"scenario"`
	What     string    `json:"what"`
	Result   string    `json:"result"`
	Requests int       `json:"requests"`
	Findings []Finding `json:"findings,omitempty"`
}

// Report is how a client did.
type Report struct {
	Results []Result `json:"results"`
	// Strays are requests that belong to no scenario.
	Strays []string `json:"strays,omitempty"`
}

// Passed says whether every scenario was played and passed.
func (r Report) Passed() bool { return r.Count(Passed) == len(r.Results) }

// Count counts the scenarios with that result.
func (r Report) Count(result string) int {
	n := 0
	for _, s := range r.Results {
		if s.Result == result {
			n++
		}
	}
	return n
}

// WriteText writes the table that people read.
func (r Report) WriteText(w io.Writer) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(tab, "SCENARIO\tRESULT\tREQUESTS\tWHAT HAPPENS") // Flush has the error
	for _, s := range r.Results {
		_, _ = fmt.Fprintf(tab, "%s\t%s\t%d\t%s\n", s.Scenario, s.Result, s.Requests, s.What)
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	var b strings.Builder
	for _, level := range []string{Must, Should} {
		r.writeFindings(&b, level)
	}
	for _, s := range r.Strays {
		fmt.Fprintf(&b, "\nstray: %s", s)
	}
	fmt.Fprintf(&b, "\n%d passed, %d failed, %d not played\n", r.Count(Passed), r.Count(Failed), r.Count(NotPlayed))
	_, err := io.WriteString(w, b.String())
	return err
}

// writeFindings lists each finding once, with the scenarios in which it was made.
func (r Report) writeFindings(b *strings.Builder, level string) {
	var order []string
	where := make(map[string][]string)
	for _, s := range r.Results {
		for _, f := range s.Findings {
			if f.Level != level {
				continue
			}
			if where[f.What] == nil {
				order = append(order, f.What)
			}
			where[f.What] = append(where[f.What], s.Scenario)
		}
	}
	for _, what := range order {
		in := strings.Join(where[what], ", ")
		if len(where[what]) == len(r.Results) {
			in = "all"
		}
		fmt.Fprintf(b, "\n%s: %s\n      in: %s\n", level, what, in)
	}
}
