package outagebench

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"

	"switchpoint/bench/logins"
)

// Report is what a run saw.
type Report struct {
	*logins.Report
	Switches []Switch `json:"switches,omitempty"`
	Copies   []Copy   `json:"copies,omitempty"`
}

// Switch is what became of those who signed in while the database vanished and came back. Times are
// seconds since the first login was due; a time that did not come is 0.
type Switch struct {
	Profile string `json:"profile"`
	Way     string `json:"way"` // in which it vanished

	Gone   float64 `json:"gone"`   // it vanished
	Mode   float64 `json:"mode"`   // the broker said that it serves without it
	Page   float64 `json:"page"`   // is_alive said so
	Back   float64 `json:"back"`   // it was there again
	Merges float64 `json:"merges"` // merging began
	Normal float64 `json:"normal"` // the broker said that all is as before

	Offered int            `json:"offered"` // logins
	OK      int            `json:"ok"`
	Failed  int            `json:"failed"`           // refused or not answered
	Waited  int            `json:"waited,omitempty"` // got a place in a queue before their offers
	Errors  map[string]int `json:"errors,omitempty"`
	Before  float64        `json:"slowest_before_ms"`  // login, while all was well
	Between float64        `json:"slowest_between_ms"` // from the vanishing until the mode has changed
	After   float64        `json:"slowest_after_ms"`   // from then until it is normal again
	Alive   int            `json:"alive_looks"`
	Down    int            `json:"alive_not_200"` // of them answered with anything but 200

	Seconds []logins.Second `json:"seconds"`
	Acts    []int           `json:"acts"` // in the journal, at the end of each second
}

// switched is how long the broker and its page took to say so; NaN when they did not.
func (s *Switch) switched() (mode, page float64) {
	since := func(at float64) float64 {
		if at <= 0 {
			return math.NaN()
		}
		return at - s.Gone
	}
	return since(s.Mode), since(s.Page)
}

// lost is how many logins had no good answer.
func (s *Switch) lost() int { return s.Offered - s.OK }

func row(name, unit string, value float64) logins.Row {
	return logins.Row{Name: name, Unit: unit, Value: value}
}

func atLeast(r logins.Row, limit float64) logins.Row {
	r.Limit, r.AtLeast = &limit, true
	return r
}

func atMost(r logins.Row, limit float64) logins.Row {
	r.Limit = &limit
	return r
}

func note(r logins.Row, format string, args ...any) logins.Row {
	r.Note = fmt.Sprintf(format, args...)
	return r
}

func (r *Report) add(rows ...logins.Row) { r.Rows = append(r.Rows, rows...) }

// Write prints the tables.
func (r *Report) Write(w io.Writer) error {
	if err := r.Report.Write(w); err != nil {
		return err
	}
	if len(r.Switches) == 0 {
		return nil
	}
	var b strings.Builder
	b.WriteString("\nThe database vanishes while users sign in\n")
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(t, "profile\tway\tmode s\tis_alive s\tlogins\tlost\tslowest ms: before\tbetween\tin the outage\tnormal again s\t")
	for i := range r.Switches {
		s := &r.Switches[i]
		mode, page := s.switched()
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\t%s\t\n", s.Profile, s.Way, number(mode), number(page), s.Offered, s.lost(),
			number(s.Before), number(s.Between), number(s.After), number(s.Normal-s.Back))
	}
	_ = t.Flush() // a Builder takes everything
	_, err := io.WriteString(w, b.String())
	return err
}

// number is short: digits that say something.
func number(v float64) string {
	switch {
	case math.Abs(v) >= 100 || v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	case math.Abs(v) >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// thousands groups the digits of a number: 100,000.
func thousands(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
