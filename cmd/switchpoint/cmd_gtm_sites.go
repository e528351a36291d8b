package main

import (
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func gtmSitesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sites",
		Short: "The sites and subnets of Active Directory: what is in use, what waits for approval",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		gtmSitesAsk("status", "What was read, when, and what was left out", http.MethodGet, "gtm/sites"),
		gtmSitesAsk("diff", "The change that waits for approval", http.MethodGet, "gtm/sites/diff"),
		gtmSitesApproveCommand(),
	)
	return cmd
}

// gtmSitesAsk is a command that asks the node and prints its lines.
func gtmSitesAsk(use, short, method, path string) *cobra.Command {
	var node string
	cmd := &cobra.Command{
		Use:   use + " --node STATE_DIR",
		Short: short,
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			var out explanation
			if err := ask(cmd.Context(), node, method, path, nil, &out); err != nil {
				return err
			}
			return printLines(cmd.OutOrStdout(), out.Lines)
		},
	}
	addNodeFlag(cmd, &node)
	return cmd
}

func gtmSitesApproveCommand() *cobra.Command {
	var node string
	cmd := &cobra.Command{
		Use:   "approve ID --node STATE_DIR",
		Short: "Take the change that waits; ID is what gtm sites diff shows",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef(cmd, "give the ID of the change, as gtm sites diff shows it")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			var out explanation
			query := url.Values{"id": {args[0]}}
			if err := ask(cmd.Context(), node, http.MethodPost, "gtm/sites/approve?"+query.Encode(), nil, &out); err != nil {
				return err
			}
			return printLines(cmd.OutOrStdout(), out.Lines)
		},
	}
	addNodeFlag(cmd, &node)
	return cmd
}
