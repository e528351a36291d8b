package clusterbench

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"switchpoint/bench/quantile"
)

// Report is what a run saw.
type Report struct {
	Machine  string        `json:"machine"`
	Database string        `json:"database"` // the server's version
	Rounds   int           `json:"rounds"`
	Length   time.Duration `json:"length_ns"`
	Rows     []Row         `json:"rows"`
}

// Row is one figure: the median of its runs, with the quartiles, and its limit.
type Row struct {
	Name    string    `json:"name"`
	Unit    string    `json:"unit"`
	Value   float64   `json:"value"`
	Low     float64   `json:"quartile1"`
	High    float64   `json:"quartile3"`
	Runs    []float64 `json:"runs"`
	Limit   float64   `json:"limit,omitempty"` // 0: none
	AtLeast bool      `json:"at_least,omitempty"`
}

// newRow takes the median of runs.
func newRow(name, unit string, runs []float64) Row {
	return Row{Name: name, Unit: unit, Value: quantile.Of(runs, .5), Low: quantile.Of(runs, .25), High: quantile.Of(runs, .75), Runs: runs}
}

func (r Row) atLeast(limit float64) Row {
	r.Limit, r.AtLeast = limit, true
	return r
}

func (r Row) atMost(limit float64) Row {
	r.Limit = limit
	return r
}

// holds says whether the row keeps its limit. A value that is no number keeps none.
func (r Row) holds() bool {
	switch {
	case r.Limit == 0:
		return true
	case r.AtLeast:
		return r.Value >= r.Limit
	}
	return r.Value <= r.Limit
}

// Missed lists the limits that do not hold.
func (r *Report) Missed() []string {
	var out []string
	for _, row := range r.Rows {
		if !row.holds() {
			out = append(out, fmt.Sprintf("%s: %s %s, limit %s", row.Name, number(row.Value), row.Unit, number(row.Limit)))
		}
	}
	return out
}

// Write prints the table.
func (r *Report) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, PostgreSQL %s, fsync on\nmedians of %d rounds of %s, with quartiles\n\n", r.Machine, r.Database, r.Rounds, r.Length)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range r.Rows {
		limit := ""
		if row.Limit != 0 {
			mark, sign := "-", "<="
			if row.holds() {
				mark = "+"
			}
			if row.AtLeast {
				sign = ">="
			}
			limit = mark + " " + sign + " " + number(row.Limit)
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t(%s to %s)\t%s\n", row.Name, number(row.Value), row.Unit, number(row.Low), number(row.High), limit)
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
