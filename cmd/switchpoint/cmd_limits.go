package main

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func limitsCommand() *cobra.Command {
	return listGroup("limits", "Who may not sign in for a while", limitsListCommand(),
		limitsLiftCommand(), limitsBlockCommand())
}

func limitColumns() []column[limitLine] {
	return []column[limitLine]{
		{"kind", "KIND", func(l limitLine) string { return string(l.Kind) }},
		{"user", "USER", func(l limitLine) string { return l.User }},
		{"address", "ADDRESS", func(l limitLine) string { return l.Source }},
		{"left", "LEFT", func(l limitLine) string { return l.Left }},
		{"until", "UNTIL", func(l limitLine) string { return whenUTC(l.Until) }},
		{"since", "SINCE", func(l limitLine) string { return whenUTC(l.Since) }},
		{"level", "LEVEL", func(l limitLine) string { return number(l.Level) }},
		{"site_id", "SITE ID", func(l limitLine) string { return number(l.SiteID) }},
		{"except", "EXCEPT", func(l limitLine) string { return strings.Join(l.Except, ",") }},
	}
}

const defaultLimitColumns = "kind,user,address,left,until,level,site_id,except"

func limitsListCommand() *cobra.Command {
	var node, keys string
	cmd := &cobra.Command{
		Use:   "list --node STATE_DIR",
		Short: "Blocks of the cluster, with whom they stop and for how long",
		Long: `List the blocks of the cluster: of a user at an address, of a user everywhere except where he has
signed in before, of an address, or of a user by an operator. LEVEL says the how many-th in a row it is:
each lasts twice as long as the one before. SITE ID is the broker that made it.

--columns takes, in the order wanted: ` + columnKeys(limitColumns()),
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			columns, err := pickColumns(cmd, limitColumns(), keys)
			if err != nil {
				return err
			}
			var lines []limitLine
			if err := ask(cmd.Context(), node, http.MethodGet, "limits", nil, &lines); err != nil {
				return err
			}
			return printTable(cmd.OutOrStdout(), columns, lines)
		},
	}
	addNodeFlag(cmd, &node)
	cmd.Flags().StringVar(&keys, "columns", defaultLimitColumns, "columns and their order")
	return cmd
}

func limitsLiftCommand() *cobra.Command {
	var node, user, address string
	var all bool
	cmd := &cobra.Command{
		Use:   "lift --node STATE_DIR",
		Short: "Let a user or an address sign in again",
		Long: `Lift the blocks of a user, of an address, of a user at an address, or all of them. They end at all
brokers of the cluster within a second, and the failures behind them are forgotten.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{}
			if user == "" && address == "" && !all {
				return usagef(cmd, "say whom: --user, --address, both, or --all")
			}
			if all && (user != "" || address != "") {
				return usagef(cmd, "--all does not go with --user or --address")
			}
			query.Set("user", user)
			query.Set("address", address)
			if all {
				query.Set("all", "1")
			}
			return operate(cmd, node, "limits/lift", query)
		},
	}
	addNodeFlag(cmd, &node)
	cmd.Flags().StringVar(&user, "user", "", "name as it is typed at sign-in")
	cmd.Flags().StringVar(&address, "address", "", "address of the client")
	cmd.Flags().BoolVar(&all, "all", false, "every block of the cluster")
	return cmd
}

func limitsBlockCommand() *cobra.Command {
	var node, user, why string
	var lasting time.Duration
	cmd := &cobra.Command{
		Use:   "block --user NAME --node STATE_DIR",
		Short: "Keep a user from signing in",
		Long: `Keep a user from signing in, from everywhere, at all brokers of the cluster within a second. He is told
what everybody is told after too many failures. Sessions that he has go on. It ends after --for, or with
"limits lift"; said once more, the newest word counts. Without the database it counts at the broker that is
asked and at those that it can reach, and at the others once the database is back.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if user == "" {
				return required(cmd, "user")
			}
			return operate(cmd, node, "limits/block", url.Values{"user": {user}, "why": {why}, "for": {lasting.String()}})
		},
	}
	addNodeFlag(cmd, &node)
	cmd.Flags().StringVar(&user, "user", "", "name as the directory has it, without a domain")
	cmd.Flags().StringVar(&why, "reason", "", "why, for the log")
	cmd.Flags().DurationVar(&lasting, "for", defaultBlock, "how long")
	return cmd
}
