package main

import (
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

func drainCommand() *cobra.Command {
	var node, why string
	var lasting time.Duration
	var off bool
	cmd := &cobra.Command{
		Use:   "drain --node STATE_DIR",
		Short: "Keep logins away from a broker (or, with --off, let them come again)",
		Long: `Make the is_alive page of a broker say 503 and its mode "draining", so that balancers send logins to
other brokers: before it is stopped, or while something is wrong with it. Its sessions go on, and whoever
comes all the same is served, so the last broker of a cluster locks nobody out. It works without the
database, too. It ends with --off, after --for, or with the process.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{"on": {strconv.FormatBool(!off)}, "why": {why}}
			if cmd.Flags().Changed("for") {
				if lasting <= 0 {
					return usagef(cmd, "--for must be longer than 0; leave it out for a drain without an end")
				}
				query.Set("for", lasting.String())
			}
			return operate(cmd, node, "drain", query)
		},
	}
	addNodeFlag(cmd, &node)
	f := cmd.Flags()
	f.StringVar(&why, "reason", "", "why, shown wherever it has an effect")
	f.DurationVar(&lasting, "for", 0, "how long (default: until --off, or the end of the process)")
	f.BoolVar(&off, "off", false, "take logins again")
	return cmd
}
