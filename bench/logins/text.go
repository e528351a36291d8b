package logins

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// Write prints the tables.
func (r *Report) Write(w io.Writer) error {
	var b strings.Builder
	b.WriteString(r.Machine)
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		fmt.Fprintf(&b, ", %s %s", name, r.Versions[name])
	}
	b.WriteString("\n")
	for _, s := range r.Settings {
		fmt.Fprintf(&b, "  %s\n", s)
	}
	b.WriteString("\n")
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range r.Rows {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", row.Name, number(row.Value), row.Unit, row.limits())
	}
	_ = t.Flush() // a Builder takes everything
	r.writeNotes(&b)
	r.writeCPU(&b)
	r.writeCurve(&b)
	r.writeProfile(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// limits shows the limit and the goal with + where they are kept and - where not.
func (r Row) limits() string {
	var parts []string
	sign := "<="
	if r.AtLeast {
		sign = ">="
	}
	for _, l := range []struct {
		of   *float64
		what string
	}{{r.Limit, ""}, {r.Goal, "goal "}} {
		if l.of == nil {
			continue
		}
		mark := "-"
		if r.keeps(*l.of) {
			mark = "+"
		}
		parts = append(parts, fmt.Sprintf("%s %s%s %s", mark, l.what, sign, number(*l.of)))
	}
	return strings.Join(parts, "  ")
}

func (r *Report) writeNotes(b *strings.Builder) {
	b.WriteString("\n")
	for _, row := range r.Rows {
		if row.Note != "" {
			fmt.Fprintf(b, "%s: %s\n", row.Name, row.Note)
		}
	}
	for _, n := range r.Notes {
		fmt.Fprintf(b, "note: %s\n", n)
	}
}

// writeCPU shows who used how much for a login.
func (r *Report) writeCPU(b *strings.Builder) {
	if len(r.Runs) == 0 {
		return
	}
	who := []string{whoClients, whoGTM, whoLB, whoBrokers, whoPostgres, whoDirectory, whoOthers}
	b.WriteString("\nCPU, ms per login\n")
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintf(t, "logins/s\t%s\tbusy\t  run\n", strings.Join(who, "\t"))
	for i := range r.Runs {
		v := &r.Runs[i]
		if v.CPU.Cores == 0 {
			continue
		}
		each := v.CPU.each(v.rate())
		_, _ = fmt.Fprintf(t, "%s\t", number(v.rate()))
		for _, name := range who {
			cell := ""
			if used, ok := each[name]; ok {
				cell = fmt.Sprintf("%.2f", used)
			}
			_, _ = fmt.Fprintf(t, "%s\t", cell)
		}
		_, _ = fmt.Fprintf(t, "%.0f %%\t  %s\n", 100*v.CPU.Busy/float64(v.CPU.Cores), v.Name)
	}
	_ = t.Flush()
}

func (r *Report) writeCurve(b *strings.Builder) {
	if len(r.Curve) == 0 {
		return
	}
	b.WriteString("\nthroughput over load: login, new TLS connection each, postgres\n")
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(t, "offered/s\tsigned in/s\tp50 ms\tp99 ms\tfailed\twaited\t")
	for _, p := range r.Curve {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\t\n", number(p.Offered), number(p.Rate), number(p.P50), number(p.P99), p.Failed, p.Waited)
	}
	_ = t.Flush()
}

// profileLines is how many packages the table shows.
const profileLines = 20

func (r *Report) writeProfile(b *strings.Builder) {
	if len(r.Profile) == 0 {
		return
	}
	b.WriteString("\nCPU of the broker alone, by package: its own functions, and with what they call\n")
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, p := range r.Profile[:min(profileLines, len(r.Profile))] {
		_, _ = fmt.Fprintf(t, "%.1f %%\t%.1f %%\t  %s\n", 100*p.Self, 100*p.All, p.Package)
	}
	_ = t.Flush()
}
