package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"switchpoint/gtm"
	"switchpoint/gtm/nodes"
	"switchpoint/gtm/steer"
)

func gtmCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "gtm",
		Short: "Which data centres answer, why, and who says otherwise",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(gtmStatusCommand(), gtmWhyCommand(), gtmModeCommand(), gtmForceCommand(), gtmReleaseCommand(),
		gtmDelegationCommand(), gtmSitesCommand())
	return cmd
}

func gtmStatusCommand() *cobra.Command {
	var node string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status [NAME] --node STATE_DIR",
		Short: "Mode, nodes, and for each name the data centres that are in and out",
		Args:  atMost(1, "give one NAME, or none for all"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			var s gtm.Status
			if err := ask(cmd.Context(), node, http.MethodGet, "gtm/status?"+nameQuery(args).Encode(), nil, &s); err != nil {
				return err
			}
			if asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", "  ")
				return e.Encode(s)
			}
			return printGTM(cmd.OutOrStdout(), s, time.Now())
		},
	}
	addNodeFlag(cmd, &node)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func gtmWhyCommand() *cobra.Command {
	var node string
	cmd := &cobra.Command{
		Use:   "why NAME [DATACENTER] --node STATE_DIR",
		Short: "Why each data centre of a name is in or out right now",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usagef(cmd, "give a NAME and, if you like, one DATACENTER")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			query := nameQuery(args)
			if len(args) == 2 {
				query.Set("datacenter", args[1])
			}
			var out explanation
			if err := ask(cmd.Context(), node, http.MethodGet, "gtm/why?"+query.Encode(), nil, &out); err != nil {
				return err
			}
			return printLines(cmd.OutOrStdout(), out.Lines)
		},
	}
	addNodeFlag(cmd, &node)
	return cmd
}

// nameQuery is the query of a command whose first argument is a steered name.
func nameQuery(args []string) url.Values {
	query := url.Values{}
	if len(args) > 0 {
		query.Set("name", args[0])
	}
	return query
}

func atMost(n int, text string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return usagef(cmd, "%s", text)
		}
		return nil
	}
}

// printGTM writes a status as a table that is looked at rather than read.
func printGTM(out io.Writer, s gtm.Status, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	line("mode: %s%s", s.Mode, said(s.Operator.ModeWhy))
	line("document: version %d%s", s.Operator.Version, madeAt(s.Operator))
	line("\nNODE\tHEARD\tDOCUMENT\tSIGHT")
	for _, n := range s.Nodes {
		line("%s %s\t%s\t%s\t%s", sign(n.Live && n.Newest && !n.Blind), n.Name, heard(n, now), has(n), sight(n))
	}
	for _, n := range s.Names {
		line("\n%s", nameLine(n))
		for _, p := range n.Pools {
			line("  %s %s\t%s\t%s\t%s", sign(p.In), p.Datacenter, inOut(p.In), age(p.Since, now), poolWhy(p))
			for _, m := range p.Members {
				line("      %s %s\t%s\t%s\t%s", sign(m.Serving), m.ID[strings.LastIndex(m.ID, "/")+1:], m.State, age(m.Since, now), memberFacts(m, now))
			}
		}
		for _, i := range n.Ignored {
			line("  ! not applied: %s", i)
		}
	}
	if len(s.Operator.Overrides) > 0 {
		line("\nOVERRIDE\tSTATE\tWHEN\tBY")
	}
	for _, v := range s.Operator.Overrides {
		line("%s\t%s\t%s\t%s", v.Pattern, v.State, span(v, now), by(v.Note))
	}
	return w.Flush()
}

// heard is when a node last reported.
func heard(n nodes.NodeStatus, now time.Time) string {
	switch {
	case n.Self:
		return "this node"
	case n.Heard.IsZero():
		return strings.TrimSuffix("never; "+n.Trouble, "; ")
	case n.Trouble != "":
		return age(n.Heard, now) + " ago; " + n.Trouble
	}
	return age(n.Heard, now) + " ago"
}

// has is the operators' document that a node has.
func has(n nodes.NodeStatus) string {
	if n.Newest {
		return fmt.Sprintf("%d", n.Document.Version)
	}
	return fmt.Sprintf("%d (not the newest)", n.Document.Version)
}

// sight is what a node's view of the targets is worth.
func sight(n nodes.NodeStatus) string {
	switch {
	case n.Blind:
		return "blind: it reaches none of its anchors and abstains"
	case !n.Live:
		return "not in touch: its view does not count"
	case n.Differ > 0:
		return fmt.Sprintf("%d checks, %d of them otherwise than this node", n.Checks, n.Differ)
	}
	return fmt.Sprintf("%d checks", n.Checks)
}

// sign is what the eye looks for.
func sign(good bool) string {
	if good {
		return "+"
	}
	return "-"
}

func inOut(in bool) string {
	if in {
		return "in"
	}
	return "out"
}

// nameLine is the head of a name's block.
func nameLine(n steer.NameStatus) string {
	text := fmt.Sprintf("%s  ttl %d s", n.Name, n.TTL)
	if n.TTLWhy != "" {
		text += " (" + n.TTLWhy + ")"
	}
	if n.Mode != "" {
		text += "  mode " + n.Mode
	}
	if n.Policy != "" {
		text += fmt.Sprintf("  ALL DOWN, policy %q", n.Policy)
	}
	return text
}

// poolWhy is why a pool is in or out, and what is moved away from it.
func poolWhy(p steer.PoolStatus) string {
	text := p.Serves
	if p.Why != "" {
		text = p.Why
	}
	if p.Shed > 0 {
		text += fmt.Sprintf("; it %s, %.0f%% of its clients go elsewhere", p.ShedWhy, p.Shed*100)
	}
	return text
}

func memberFacts(m steer.MemberStatus, now time.Time) string {
	text := m.Reason
	if m.Spare >= 0 {
		text += fmt.Sprintf(", %d spare", m.Spare)
	}
	if m.Mode != "" {
		text += ", mode " + modeText(m.Mode, m.ModeSince, now)
	}
	return strings.TrimPrefix(text, ", ")
}

// age is how long ago something began, short.
func age(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return max(now.Sub(t), 0).Truncate(time.Second).String()
}

// said is a note after what it is about.
func said(n steer.Note) string {
	if n.Owner == "" {
		return ""
	}
	return fmt.Sprintf(", since %s, %s", moment(n.At), by(n))
}

// by says who and why.
func by(n steer.Note) string {
	if n.Reason == "" {
		return "by " + n.Owner
	}
	return "by " + n.Owner + ": " + n.Reason
}

func madeAt(o *steer.Operator) string {
	if o.Version == 0 {
		return ", nobody has said anything yet"
	}
	return fmt.Sprintf(" of %s, made at %s", o.Node, moment(o.At))
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

// span says when an override counts.
func span(v steer.Override, now time.Time) string {
	text := "now"
	if now.Before(v.From) {
		text = "from " + moment(v.From)
	}
	switch {
	case v.Over(now):
		return "over since " + moment(v.Until)
	case v.Until.IsZero():
		return text + " until released"
	}
	return text + " until " + moment(v.Until)
}
