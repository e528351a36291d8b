package logins

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"time"
)

// Report is what a run saw.
type Report struct {
	Machine  string            `json:"machine"`
	Versions map[string]string `json:"versions"`
	Settings []string          `json:"settings"`
	Rows     []Row             `json:"rows"`
	Runs     []Measured        `json:"runs"`
	Curve    []Point           `json:"curve,omitempty"`
	Profile  []ProfileLine     `json:"profile,omitempty"` // CPU of the broker alone, by package
	Notes    []string          `json:"notes,omitempty"`
}

// Row is one figure with the limit that it is held to and the goal beyond it.
type Row struct {
	Name    string    `json:"name"`
	Unit    string    `json:"unit"`
	Value   float64   `json:"value"`
	Runs    []float64 `json:"runs,omitempty"` // of which Value is the median
	Limit   *float64  `json:"limit,omitempty"`
	Goal    *float64  `json:"goal,omitempty"`
	AtLeast bool      `json:"at_least,omitempty"` // both are lower limits
	Note    string    `json:"note,omitempty"`
}

// Measured is one load with all that was seen of it.
type Measured struct {
	Name string  `json:"name"`
	Rate float64 `json:"offered_rate,omitempty"` // logins/s; 0: a closed loop
	// Began is when the first login was due: Seconds count from here.
	Began time.Time `json:"began"`
	*Result
	CPU CPU `json:"cpu"`
}

// Point is one step of throughput over offered load.
type Point struct {
	Offered float64 `json:"offered"`
	Rate    float64 `json:"rate"`
	P50     float64 `json:"p50_ms"`
	P99     float64 `json:"p99_ms"`
	Failed  int     `json:"failed,omitempty"`
	Waited  int     `json:"waited,omitempty"`
}

func row(name, unit string, value float64) Row { return Row{Name: name, Unit: unit, Value: value} }

func (r Row) atLeast(limit float64) Row {
	r.Limit, r.AtLeast = &limit, true
	return r
}

func (r Row) atMost(limit float64) Row {
	r.Limit = &limit
	return r
}

func (r Row) goal(goal float64) Row {
	r.Goal = &goal
	return r
}

func (r Row) note(format string, args ...any) Row {
	r.Note = fmt.Sprintf(format, args...)
	return r
}

// keeps says whether the value keeps a limit. A value that is no number keeps none.
func (r Row) keeps(limit float64) bool {
	if r.AtLeast {
		return r.Value >= limit
	}
	return r.Value <= limit
}

// Missed lists the limits that do not hold.
func (r *Report) Missed() []string {
	var out []string
	for _, row := range r.Rows {
		if row.Limit != nil && !row.keeps(*row.Limit) {
			out = append(out, fmt.Sprintf("%s: %s %s, limit %s", row.Name, number(row.Value), row.Unit, number(*row.Limit)))
		}
	}
	return out
}

func newReport() *Report {
	return &Report{Machine: fmt.Sprintf("%d CPUs, %s/%s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH), Versions: map[string]string{"go": runtime.Version()}}
}

func (r *Report) add(rows ...Row) { r.Rows = append(r.Rows, rows...) }

func (r *Report) noteOnce(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(r.Notes, text) {
		r.Notes = append(r.Notes, text)
	}
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
