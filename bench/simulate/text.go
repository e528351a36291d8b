package simulate

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Write prints the tables.
func (r *Report) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "medians of %d seeds; %s of virtual time measured, after %s; network %s one way, time-out %s\n", r.Seeds, r.Length, warmUp, r.Delay, timeLimit)
	for _, s := range r.Scenarios {
		fmt.Fprintf(&b, "\n%s (%s)\n", s.Name, s.ID)
		t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
		_, _ = fmt.Fprintln(t, "\tp50\tp90\tp99\tp99.9 ms\tx best p99\terrors\ttime-outs\tleast share\tmost held\t")
		for _, row := range s.Rows {
			ratio := fmt.Sprintf("%.2f", row.Ratio)
			if !row.served() {
				ratio = "fails"
			}
			_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%.2f\t%.0f\t\n", row.Policy, ms(row.P50), ms(row.P90), ms(row.P99), ms(row.P999),
				ratio, percent(row.Errors), percent(row.TimeOuts), row.MinShare, row.Held)
		}
		_ = t.Flush() // a Builder takes everything
		for _, g := range s.Gates {
			mark := "-"
			if g.Holds {
				mark = "+"
			}
			fmt.Fprintf(&b, "%s %s: %s\n", mark, ourMethod, g.text())
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// ms is a latency; the time limit is no latency.
func ms(v float64) string {
	switch {
	case v >= float64(timeLimit.Milliseconds()):
		return "time-out"
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	default:
		return fmt.Sprintf("%.1f", v)
	}
}

func percent(v float64) string {
	if v == 0 {
		return "0"
	}
	return fmt.Sprintf("%.2g %%", 100*v)
}
