package main

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
)

func jobsCommand() *cobra.Command {
	return listGroup("jobs", "The job queue that the brokers of a cluster work off together", jobsListCommand(),
		jobsCancelCommand(), jobsRunCommand())
}

// jobColumns are those of the Job Queue.
func jobColumns() []column[jobLine] {
	return []column[jobLine]{
		{"id", "ID", func(l jobLine) string { return l.ID }},
		{"kind", "KIND", func(l jobLine) string { return l.Kind }},
		{"target", "TARGET", func(l jobLine) string { return l.Target }},
		{"state", "STATE", func(l jobLine) string { return string(l.State) }},
		{"scheduled", "SCHEDULED", func(l jobLine) string { return whenUTC(l.Scheduled) }},
		{"site_id", "SITE ID", func(l jobLine) string { return number(l.SiteID) }},
		{"assigned", "ASSIGNED TO", func(l jobLine) string { return number(l.Assigned) }},
		{"every", "EVERY", func(l jobLine) string { return l.Every }},
		{"started", "STARTED", func(l jobLine) string { return whenUTC(l.Started) }},
		{"ended", "ENDED", func(l jobLine) string { return whenUTC(l.Ended) }},
		{"took", "TOOK", func(l jobLine) string { return l.Took }},
		{"attempts", "ATTEMPTS", func(l jobLine) string { return number(l.Attempts) }},
		{"result", "RESULT", func(l jobLine) string { return l.Result }},
		{"error", "ERROR", func(l jobLine) string { return l.Error }},
	}
}

const defaultJobColumns = "id,kind,target,state,scheduled,site_id,every,took,result,error"

// number leaves out what is nothing.
func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func jobsListCommand() *cobra.Command {
	var node, keys, order string
	var descending bool
	query := make(url.Values)
	flags := map[string]*string{"state": new(string), "kind": new(string), "target": new(string), "site": new(string), "limit": new(string), "after": new(string)}
	cmd := &cobra.Command{
		Use:   "list --node STATE_DIR",
		Short: "Jobs with state, scheduled time and the site id that ran them",
		Long: `List the jobs of the cluster: pending, running, finished, cancelled and aborted ones. Ended jobs are
kept for two days.

--columns takes, in the order wanted: ` + columnKeys(jobColumns()),
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			columns, err := pickColumns(cmd, jobColumns(), keys)
			if err != nil {
				return err
			}
			for name, value := range flags {
				query.Set(name, *value)
			}
			query.Set("order", order)
			if descending {
				query.Set("descending", "1")
			}
			var lines []jobLine
			if err := ask(cmd.Context(), node, http.MethodGet, "jobs?"+query.Encode(), nil, &lines); err != nil {
				return err
			}
			return printTable(cmd.OutOrStdout(), columns, lines)
		},
	}
	addNodeFlag(cmd, &node)
	f := cmd.Flags()
	f.StringVar(&keys, "columns", defaultJobColumns, "columns and their order")
	f.StringVar(flags["state"], "state", "", "only these states, with commas between them")
	f.StringVar(flags["kind"], "kind", "", "only these kinds, with commas between them")
	f.StringVar(flags["target"], "target", "", "only what works on this")
	f.StringVar(flags["site"], "site", "", "only what is assigned to this site id or was run by it last")
	f.StringVar(flags["limit"], "limit", "", "at most so many (default 100, at most 1000)")
	f.StringVar(flags["after"], "after", "", "go on behind the job with this ID, the last one of the list before, in the same order")
	f.StringVar(&order, "order", "", "sort by scheduled (default), kind, target, state, site or started")
	f.BoolVar(&descending, "descending", false, "the other way round")
	return cmd
}

func jobsCancelCommand() *cobra.Command {
	var node string
	cmd := &cobra.Command{
		Use:   "cancel ID --node STATE_DIR",
		Short: "Cancel a pending job, or stop a running one",
		Long: `Cancel a pending job at once, or have a running one stopped by its broker. A recurring job does not
come back before it is run again or a broker starts. Cancelling the heartbeat of a broker stops it: it
processes no jobs until it starts again.`,
		Args: oneWord("give one ID, as `jobs list` shows it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return operate(cmd, node, "jobs/cancel", url.Values{"id": {args[0]}})
		},
	}
	addNodeFlag(cmd, &node)
	return cmd
}

func jobsRunCommand() *cobra.Command {
	var node, target string
	cmd := &cobra.Command{
		Use:   "run KIND --node STATE_DIR",
		Short: "Run the recurring jobs of a kind now instead of at their time",
		Args:  oneWord(`give one KIND, as "jobs list" shows it`),
		RunE: func(cmd *cobra.Command, args []string) error {
			return operate(cmd, node, "jobs/run", url.Values{"kind": {args[0]}, "target": {target}})
		},
	}
	addNodeFlag(cmd, &node)
	cmd.Flags().StringVar(&target, "target", "", "only the one that works on this")
	return cmd
}

// oneWord takes exactly one argument.
func oneWord(otherwise string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usagef(cmd, "%s", otherwise)
		}
		return nil
	}
}
