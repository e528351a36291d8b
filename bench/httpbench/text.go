package httpbench

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// Write prints the table.
func (r *Report) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", r.Machine)
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		fmt.Fprintf(&b, "%s %s  ", name, r.Versions[name])
	}
	fmt.Fprintf(&b, "\nmedians of %d rounds of %s; ratios round by round, with quartiles\n\n", r.Rounds, r.Length)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	columns := []string{ours, haproxy, nginx}
	_, _ = fmt.Fprintf(t, "\t%s\t\t\n", strings.Join(columns, "\t"))
	for _, row := range r.Rows {
		_, _ = fmt.Fprintf(t, "%s\t", row.Name)
		for _, name := range columns {
			_, _ = fmt.Fprintf(t, "%s\t", row.cell(name))
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\n", row.Unit, row.gates())
	}
	_ = t.Flush() // a Builder takes everything
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "note: %s\n", note)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// cell is a server's figure.
func (row Row) cell(server string) string {
	for _, f := range row.Figures {
		if f.Server == server {
			return number(f.Value)
		}
	}
	return ""
}

func (row Row) gates() string {
	var parts []string
	for _, g := range row.Gates {
		mark := "-"
		if g.Holds {
			mark = "+"
		}
		parts = append(parts, mark+" "+g.text())
	}
	return strings.Join(parts, "; ")
}

// text is the value with its limit.
func (g Gate) text() string {
	sign := "<="
	if g.AtLeast {
		sign = ">="
	}
	spread := ""
	if g.Low != g.High {
		spread = fmt.Sprintf(" (%s to %s)", number(g.Low), number(g.High))
	}
	return fmt.Sprintf("%s %s%s %s %s", number(g.Value), g.What, spread, sign, number(g.Limit))
}

// number is short: three digits that say something.
func number(v float64) string {
	switch {
	case v == float64(int64(v)):
		return fmt.Sprintf("%.0f", v)
	case v >= 100 || v <= -100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10 || v <= -10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}
