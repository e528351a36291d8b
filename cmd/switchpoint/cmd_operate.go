package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"switchpoint/admin"
	"switchpoint/broker"
	"switchpoint/configs"
)

func applyCommand() *cobra.Command {
	var node, file string
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "apply -f FILE --node STATE_DIR",
		Short: "Bring the broker's own configuration to what FILE says",
		Long: `Replace the setup that the cluster keeps in its database (directories, redirect rules,
destinations, desktops, pools, policies, assignments) by what FILE (a broker.toml) says, and print
the difference. All brokers of the cluster take it up within about a second.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return required(cmd, "file")
			}
			if node == "" {
				return required(cmd, "node")
			}
			return apply(cmd, node, file, dryRun)
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "broker.toml")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show the difference, change nothing")
	addNodeFlag(cmd, &node)
	return cmd
}

func apply(cmd *cobra.Command, node, file string, dryRun bool) error {
	// Names of monitors and the own cluster are the node's to check; the file's form is ours.
	setup, err := configs.LoadSetup(file, nil, "")
	if err != nil {
		return fmt.Errorf("%s is not usable:\n%w", file, err)
	}
	body, err := json.Marshal(setup)
	if err != nil {
		return err
	}
	path := "setup"
	if dryRun {
		path += "?dry_run=1"
	}
	var changes []broker.Change
	if err := ask(cmd.Context(), node, http.MethodPost, path, body, &changes); err != nil {
		return err
	}
	for _, c := range changes {
		_, _ = fmt.Fprintln(cmd.OutOrStdout(), c)
	}
	verb := "changed"
	if dryRun {
		verb = "would change"
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d %s\n", len(changes), verb)
	return err
}

func reloadCommand() *cobra.Command {
	var node string
	cmd := &cobra.Command{
		Use:   "reload --node STATE_DIR",
		Short: "Make a running node read its configuration again; a failure changes nothing",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			var out explanation
			if err := ask(cmd.Context(), node, http.MethodPost, "reload", nil, &out); err != nil {
				return err
			}
			return printLines(cmd.OutOrStdout(), out.Lines)
		},
	}
	addNodeFlag(cmd, &node)
	return cmd
}

// checkLine is one check as the admin API tells it.
type checkLine struct {
	Address string    `json:"address"`
	Monitor string    `json:"monitor"`
	State   string    `json:"state"`
	Since   time.Time `json:"since"`
	Reason  string    `json:"reason"`
	TTFB    float64   `json:"ttfb_ms"`
	Mode    string    `json:"mode,omitempty"`
	Spare   int       `json:"spare"` // -1: the target does not say
}

func (a *app) showHealth(context.Context, admin.Request) (any, error) {
	list := a.health.engine.List()
	out := make([]checkLine, len(list))
	for i, c := range list {
		out[i] = checkLine{
			Address: c.Key.Address, Monitor: c.Key.Monitor, State: c.Status.State.String(), Since: c.Status.Since,
			Reason: c.Status.Reason, TTFB: float64(c.Status.TTFB.Microseconds()) / 1000,
			Mode: c.Status.Load.Mode, Spare: c.Status.Load.Spare(),
		}
	}
	return out, nil
}

func healthCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "health",
		Short: "What a running node holds to be alive, and why",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var node string
	list := &cobra.Command{
		Use:   "list --node STATE_DIR",
		Short: "All checks with state, since when, and why",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			var lines []checkLine
			if err := ask(cmd.Context(), node, http.MethodGet, "health", nil, &lines); err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			_, _ = fmt.Fprintln(w, "ADDRESS\tMONITOR\tSTATE\tSINCE\tTTFB\tMODE\tREASON")
			for _, l := range lines {
				_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%.1f ms\t%s\t%s\n",
					l.Address, l.Monitor, l.State, since(l.Since), l.TTFB, l.Mode, l.Reason)
			}
			return w.Flush()
		},
	}
	addNodeFlag(list, &node)
	cmd.AddCommand(list)
	return cmd
}

func since(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return time.Since(t).Truncate(time.Second).String()
}
