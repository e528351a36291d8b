package main

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"switchpoint/broker"
)

func centersCommand() *cobra.Command {
	var node string
	cmd := &cobra.Command{
		Use:   "centers --node STATE_DIR",
		Short: "Where desktops come from: the newest scan of each center",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			var list []broker.CenterStatus
			if err := ask(cmd.Context(), node, http.MethodGet, "centers", nil, &list); err != nil {
				return err
			}
			var lines []string
			for _, c := range list {
				lines = append(lines, centerLines(c)...)
			}
			if len(lines) == 0 {
				lines = []string{"no centers: name them as [[center]] in the setup"}
			}
			return printLines(cmd.OutOrStdout(), lines)
		},
	}
	addNodeFlag(cmd, &node)
	cmd.AddCommand(
		centerActCommand("scan", "Scan a center now", "centers/scan"),
		centerActCommand("confirm", "Let the next scan mark the vanished desktops that it waits to mark", "centers/confirm"),
	)
	return cmd
}

// centerLines says how a center is.
func centerLines(c broker.CenterStatus) []string {
	lines := []string{fmt.Sprintf("%s: %d desktops, %d vanished", c.Name, c.Desktops, c.Vanished)}
	if !c.Scanned.IsZero() {
		lines = append(lines, "  scanned "+c.Scanned.Format(time.RFC3339)+": "+c.Result)
	}
	if c.Failed.After(c.Scanned) {
		lines = append(lines, "  failed  "+c.Failed.Format(time.RFC3339)+": "+c.Error)
	}
	if c.Waiting > 0 && c.Confirmed < c.Waiting {
		lines = append(lines, fmt.Sprintf("  waits:  if %d desktops are really gone, run `switchpoint centers confirm %s`", c.Waiting, c.Name))
	}
	return lines
}

// centerActCommand is a command that names one center.
func centerActCommand(verb, short, path string) *cobra.Command {
	var node string
	cmd := &cobra.Command{
		Use:   verb + " NAME --node STATE_DIR",
		Short: short,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef(cmd, "name one center")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			var out explanation
			if err := ask(cmd.Context(), node, http.MethodPost, path+"?"+url.Values{"name": {args[0]}}.Encode(), nil, &out); err != nil {
				return err
			}
			return printLines(cmd.OutOrStdout(), out.Lines)
		},
	}
	addNodeFlag(cmd, &node)
	return cmd
}
