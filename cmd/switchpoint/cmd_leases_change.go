package main

import (
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"switchpoint/broker"
)

func leasesRemoveCommand() *cobra.Command {
	var node string
	var flags leaseFlags
	var all bool
	cmd := &cobra.Command{
		Use:   "remove --node STATE_DIR",
		Short: "Mark leases for deletion",
		Long: `Mark the leases that the flags pick for deletion. They count no more as soon as a broker has looked at
the database again ("leases refresh" has it do so at once), and are deleted for good by the purge. The
next connect of a user leaves new ones.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := flags.query()
			if narrow := len(query) > 0; narrow == all {
				return usagef(cmd, "say which: --user, --directory, --desktop, --client, --kind, some of them together, or else --all")
			}
			if all {
				query.Set("all", "1")
			}
			return operate(cmd, node, "leases/remove", query)
		},
	}
	addNodeFlag(cmd, &node)
	flags.add(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "every lease of the cluster")
	return cmd
}

func leasesRefreshCommand() *cobra.Command {
	var node string
	cmd := &cobra.Command{
		Use:   "refresh --node STATE_DIR",
		Short: "Bring the copies of this broker up to date now",
		Long: `Bring the copies of leases that the broker behind --node keeps up to date with the database now. It does
that by itself every [broker.outage] cache_every.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return operate(cmd, node, "leases/refresh", url.Values{})
		},
	}
	addNodeFlag(cmd, &node)
	return cmd
}

func leasesSettingsCommand() *cobra.Command {
	var node string
	var enabled, perClient bool
	var life time.Duration
	cmd := &cobra.Command{
		Use:   "settings --node STATE_DIR",
		Short: "What is set, what its default is, what is in force, and where that comes from; or change it",
		Long: `Show the settings of leases, each with its default, what is in force at the broker behind --node and where
that comes from, and whether this broker serves from leases at all.

With --enabled, --life or --per-client these change in the setup of the cluster, as "apply" would do it:
the rest of the setup stays as it is, all brokers take it up within about a second, and none is restarted.
Leases that are there stay as they were recorded until the user connects again; "leases remove --all"
begins anew. What stands in [broker.outage] is this node's, and changes there.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			query := url.Values{}
			for flag, key := range map[string]string{"enabled": "enabled", "life": "life", "per-client": "per_client"} {
				if f := cmd.Flags().Lookup(flag); f.Changed {
					query.Set(key, f.Value.String())
				}
			}
			if len(query) > 0 {
				return operate(cmd, node, "leases/settings", query)
			}
			return showLeaseSettings(cmd, node)
		},
	}
	addNodeFlag(cmd, &node)
	f := cmd.Flags()
	f.BoolVar(&enabled, "enabled", false, "whether connects leave leases behind, and brokers serve from them")
	f.DurationVar(&life, "life", 0, "how long a lease counts after the connect; 0s: the default again")
	f.BoolVar(&perClient, "per-client", false, "whether a lease counts only for the client device that has connected")
	return cmd
}

func showLeaseSettings(cmd *cobra.Command, node string) error {
	var s leaseSettings
	if err := ask(cmd.Context(), node, http.MethodGet, "leases/settings", nil, &s); err != nil {
		return err
	}
	capability := "capability: this broker serves from leases when it has nothing better"
	if !s.Capability {
		capability = "capability: this broker does not serve from leases: " + s.Why
	}
	if err := printTable(cmd.OutOrStdout(), []column[broker.LeaseSetting]{
		{"setting", "SETTING", func(s broker.LeaseSetting) string { return s.Setting }},
		{"default", "DEFAULT", func(s broker.LeaseSetting) string { return s.Default }},
		{"effective", "EFFECTIVE", func(s broker.LeaseSetting) string { return s.Effective }},
		{"from", "WHERE FROM", func(s broker.LeaseSetting) string { return s.From }},
	}, s.Settings); err != nil {
		return err
	}
	return printLines(cmd.OutOrStdout(), []string{capability})
}
