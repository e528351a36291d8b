package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"switchpoint/lb"
	"switchpoint/lb/nodes"
)

func lbCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lb",
		Short: "Which members of a balancer serve, why, and who says otherwise",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(lbStatusCommand(), lbWhyCommand(), lbDrainCommand(), lbDisableCommand(), lbEnableCommand(),
		lbWeightCommand(), lbNodesCommand())
	return cmd
}

func lbStatusCommand() *cobra.Command {
	var node string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status [POOL] --node STATE_DIR",
		Short: "Listeners, and for each pool its members with what they get",
		Args:  atMost(1, "give one POOL, or none for all"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			query := url.Values{"pool": args}
			var s lb.Status
			if err := ask(cmd.Context(), node, http.MethodGet, "lb/status?"+query.Encode(), nil, &s); err != nil {
				return err
			}
			if asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", "  ")
				return e.Encode(s)
			}
			return printLB(cmd.OutOrStdout(), s, time.Now())
		},
	}
	addNodeFlag(cmd, &node)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func lbWhyCommand() *cobra.Command {
	var node string
	cmd := &cobra.Command{
		Use:   "why POOL/MEMBER --node STATE_DIR",
		Short: "Why a member gets what it gets, or nothing",
		Long: `Tell what one member of a pool gets and why: its part of the latest choices, its state, what
operators say, slow start, failures, places, priority, its cost beside the lowest one, and all that its
health check knows. MEMBER is a name or an address.`,
		Args: oneMember,
		RunE: func(cmd *cobra.Command, args []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			pool, member, _ := strings.Cut(args[0], "/")
			var out explanation
			query := url.Values{"pool": {pool}, "member": {member}}
			if err := ask(cmd.Context(), node, http.MethodGet, "lb/why?"+query.Encode(), nil, &out); err != nil {
				return err
			}
			return printLines(cmd.OutOrStdout(), out.Lines)
		},
	}
	addNodeFlag(cmd, &node)
	return cmd
}

func lbNodesCommand() *cobra.Command {
	var node string
	cmd := &cobra.Command{
		Use:   "nodes --node STATE_DIR",
		Short: "The other balancers of the data centre, and whether they know what this one knows",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			var list []nodes.NodeStatus
			if err := ask(cmd.Context(), node, http.MethodGet, "lb/nodes", nil, &list); err != nil {
				return err
			}
			return printLBNodes(cmd.OutOrStdout(), list, time.Now())
		},
	}
	addNodeFlag(cmd, &node)
	return cmd
}

func oneMember(cmd *cobra.Command, args []string) error {
	if len(args) == 1 {
		if pool, member, ok := strings.Cut(args[0], "/"); ok && pool != "" && member != "" {
			return nil
		}
	}
	return usagef(cmd, "give one POOL/MEMBER, such as brokers/us1 or brokers/10.0.0.1:443")
}

// printLB writes a status as tables that are looked at rather than read.
func printLB(out io.Writer, s lb.Status, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	line("LISTENER\tADDRESS\tMODE\tPOOL\tCONNECTIONS")
	for _, l := range s.Listeners {
		mode := l.Mode
		if l.TLS {
			mode += ", TLS"
		}
		line("%s\t%s\t%s\t%s\t%d", l.Name, l.Address, mode, l.Pool, l.Connections)
	}
	for _, p := range s.Pools {
		line("\n%s", poolLine(p))
		line("  MEMBER\tADDRESS\tSTATE\tMODE\tSHARE\tIN FLIGHT\tBOUND\tWEIGHT\tTTFB\tANSWERS\tWHY")
		total := uint64(0)
		for _, m := range p.Members {
			total += m.Lately
		}
		for _, m := range p.Members {
			line("  %s %s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s", sign(m.Takes), m.Name, m.Address, m.State,
				modeText(m.Mode, m.ModeSince, now), shareOf(m.Lately, total), inFlight(m), m.Bound, weightText(m), ttfbText(m), counts(m.Requests), memberWhy(m))
		}
	}
	return w.Flush()
}

// poolLine is the head of a pool's block.
func poolLine(p lb.PoolStatus) string {
	text := fmt.Sprintf("%s  %s, persistence %s: %s", p.Name, p.Method, p.Persistence, p.Serving)
	if p.ServedBy != "" {
		text += "; the pool " + p.ServedBy + " SERVES INSTEAD"
	}
	if p.Queued > 0 {
		text += fmt.Sprintf("; %d of at most %d requests WAIT", p.Queued, p.QueueLimit)
	}
	if p.Upgraded > 0 {
		text += fmt.Sprintf("; %d upgraded connections", p.Upgraded)
	}
	return text
}

// shareOf is a part of the choices of the last minute.
func shareOf(n, total uint64) string {
	if total == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f %%", 100*float64(n)/float64(total))
}

func inFlight(m lb.MemberStatus) string {
	if m.MaxInFlight == 0 {
		return fmt.Sprintf("%d", m.InFlight)
	}
	return fmt.Sprintf("%d of %d", m.InFlight, m.MaxInFlight)
}

func weightText(m lb.MemberStatus) string {
	if m.Weight != m.Configured {
		return fmt.Sprintf("%d (configured %d)", m.Weight, m.Configured)
	}
	return fmt.Sprintf("%d", m.Weight)
}

// ttfbText are the averages by class; the one of a single class needs no name.
func ttfbText(m lb.MemberStatus) string {
	var parts []string
	for class, t := range m.TTFB {
		parts = append(parts, fmt.Sprintf("%s %.1f ms", class, t*1000))
	}
	slices.Sort(parts)
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}

// counts are the answers by class of status code, those that there are.
func counts(requests map[string]uint64) string {
	var parts []string
	for class, n := range requests {
		parts = append(parts, fmt.Sprintf("%s %d", class, n))
	}
	slices.Sort(parts)
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}

// memberWhy is why a member is in its state, with what else an operator should see.
func memberWhy(m lb.MemberStatus) string {
	parts := []string{m.Why}
	add := func(on bool, format string, args ...any) {
		if on {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(m.Drain != "", "%s", m.Drain)
	add(len(m.Words) > 0 && m.Health != m.State, "measured %s", m.Health)
	add(m.Drain == "" && len(m.Words) > 0, "by %s", words(m.Words))
	add(m.Shunned, "connects to it failed lately")
	add(m.Failing >= 0.001, "%.1f %% failed lately", m.Failing*100)
	add(m.Back > 0, "its share still grows")
	add(m.Queued > 0, "%d wait for it alone", m.Queued)
	add(!m.Takes && m.State == "up" && !m.Shunned, "%s", m.Standing)
	return strings.Join(parts, "; ")
}

func words(list []lb.Word) string {
	var parts []string
	for _, w := range list {
		parts = append(parts, w.Owner+": "+w.Reason)
	}
	return strings.Join(parts, ", ")
}

// printLBNodes writes a line for each of the other nodes.
func printLBNodes(out io.Writer, list []nodes.NodeStatus, now time.Time) error {
	if len(list) == 0 {
		return printLines(out, []string{"this node has no others ([lb.nodes])"})
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "NODE\tHEARD\tLACKS\tSENT\tRECEIVED\tTROUBLE")
	for _, n := range list {
		heard, lag := "never", "all"
		if !n.Heard.IsZero() {
			heard, lag = age(n.Heard, now)+" ago", "nothing"
		}
		if n.Lag > 0 {
			lag = "something since " + n.Lag.Truncate(time.Second).String()
		}
		_, _ = fmt.Fprintf(w, "%s %s\t%s\t%s\t%d\t%d\t%s\n", sign(n.InTouch && n.Lag == 0), n.Name, heard, lag, n.Sent, n.Received, n.Trouble)
	}
	return w.Flush()
}
