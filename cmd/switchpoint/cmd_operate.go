package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

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

func exportCommand() *cobra.Command {
	var node string
	cmd := &cobra.Command{
		Use:   "export --node STATE_DIR",
		Short: "Print the setup that the cluster's database holds, as a broker.toml",
		Long: `Print the setup that the cluster keeps in its database as a broker.toml, which apply and seed take:
to keep it, to compare it, or to bring it into another database. Paths in it are absolute. Passwords
stay where they are; the hashes of local users' passwords are part of it, so keep it from others' eyes.

What imports have assigned is not part of the setup: see assignments export.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			var stored storedSetup
			if err := ask(cmd.Context(), node, http.MethodGet, "setup", nil, &stored); err != nil {
				return err
			}
			if stored.Version == 0 {
				return errors.New("the database holds no setup yet")
			}
			text, err := configs.WriteSetup(stored.Setup)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "# Version %d of the setup, as the database holds it.\n\n%s", stored.Version, text)
			return err
		},
	}
	addNodeFlag(cmd, &node)
	return cmd
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

func statusCommand() *cobra.Command {
	var node string
	cmd := &cobra.Command{
		Use:   "status --node STATE_DIR",
		Short: "Who a running node is, what it runs, and whether it serves",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			var s nodeStatus
			if err := ask(cmd.Context(), node, http.MethodGet, "status", nil, &s); err != nil {
				return err
			}
			serves := "serving"
			if !s.Serving {
				serves = "not serving"
			}
			lines := []string{
				fmt.Sprintf("node:    %s, data centre %s, %s", s.Node, s.Datacenter, serves),
				"roles:   " + strings.Join(s.Roles, ", "),
				"version: " + s.Version,
				fmt.Sprintf("config:  %s, read %s", s.Config, s.Loaded),
			}
			for _, c := range s.Conflicts {
				lines = append(lines, "conflict: "+c)
			}
			return printLines(cmd.OutOrStdout(), lines)
		},
	}
	addNodeFlag(cmd, &node)
	return cmd
}
