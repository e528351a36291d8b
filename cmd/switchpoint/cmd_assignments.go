package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"

	"github.com/spf13/cobra"

	"switchpoint/broker"
)

// maxImport is the body that the admin API takes.
const maxImport = 16 << 20

func assignmentsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "assignments",
		Short: "Whose desktop is whose",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(importAssignmentsCommand(), addAssignmentCommand(), exportAssignmentsCommand())
	return cmd
}

func importAssignmentsCommand() *cobra.Command {
	var node string
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "import FILE.csv --node STATE_DIR",
		Short: "Give desktops to users as a CSV file says, all of them or none",
		Long: `Read FILE.csv and make each user the owner of his desktop. The first line names the columns: user,
desktop and, if there is more than one directory, directory. User names are those of the directory, in
any case. A line without a user takes the desktop from whom an earlier import gave it to. Desktops that
the file does not name stay as they are, and so do the assignments of broker.toml.

Each line that changes something is printed, and each that is refused, with its cure. With one refused,
nothing is done. "-" reads standard input.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef(cmd, "name one file")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			return importAssignments(cmd, node, args[0], dryRun)
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show what would be done, change nothing")
	addNodeFlag(cmd, &node)
	return cmd
}

func importAssignments(cmd *cobra.Command, node, file string, dryRun bool) error {
	text, err := readImport(cmd.InOrStdin(), file)
	if err != nil {
		return err
	}
	path := "assignments"
	if dryRun {
		path += "?dry_run=1"
	}
	var report broker.ImportReport
	if err := ask(cmd.Context(), node, http.MethodPost, path, text, &report); err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	for _, l := range report.Lines {
		if l.Verdict == broker.AssignSame {
			continue
		}
		line := fmt.Sprintf("line %d: %s: user %q of %s, desktop %q", l.Line, l.Verdict, l.User, l.Directory, l.Desktop)
		for _, more := range []string{l.Why, l.Cure} {
			if more != "" {
				line += "; " + more
			}
		}
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
	}
	done := "done"
	switch {
	case report.Counts[broker.AssignRefused] > 0:
		done = "nothing was done"
	case dryRun:
		done = "dry run, nothing was done"
	}
	c := report.Counts
	if _, err := fmt.Fprintf(out, "%d new, %d changed, %d removed, %d the same, %d refused: %s\n",
		c[broker.AssignAdd], c[broker.AssignChange], c[broker.AssignRemove], c[broker.AssignSame], c[broker.AssignRefused], done); err != nil {
		return err
	}
	if c[broker.AssignRefused] > 0 {
		return errors.New("the file has lines that cannot be imported")
	}
	return nil
}

func addAssignmentCommand() *cobra.Command {
	var node, directory, why string
	cmd := &cobra.Command{
		Use:   "add USER DESKTOP --node STATE_DIR",
		Short: "Give a user a desktop that is nobody's",
		Long: `Make a desktop a user's own: as a substitute for one that is broken, say. It must stand in no pooled pool,
be nobody's, and nobody may work on it. It works without the database, too: then the user sees it at the
broker that is asked and at those that it can reach, and at the others once the database is back. A desktop
that was given to somebody else by then stays his; the log says so.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usagef(cmd, "name a user and a desktop")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return operate(cmd, node, "assignments/add", url.Values{"user": {args[0]}, "desktop": {args[1]}, "directory": {directory}, "why": {why}})
		},
	}
	addNodeFlag(cmd, &node)
	cmd.Flags().StringVar(&directory, "directory", "", "of the user (default: the first of the setup)")
	cmd.Flags().StringVar(&why, "reason", "", "why, for the log")
	return cmd
}

func exportAssignmentsCommand() *cobra.Command {
	var node string
	cmd := &cobra.Command{
		Use:   "export --node STATE_DIR",
		Short: "Print what imports have assigned, as a CSV file that import takes",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			var list []broker.Assignment
			if err := ask(cmd.Context(), node, http.MethodGet, "assignments", nil, &list); err != nil {
				return err
			}
			out := csv.NewWriter(cmd.OutOrStdout())
			rows := [][]string{{"user", "directory", "desktop"}}
			for _, a := range list {
				rows = append(rows, []string{a.User, a.Directory, a.Desktop})
			}
			return out.WriteAll(rows)
		},
	}
	addNodeFlag(cmd, &node)
	return cmd
}

// readImport reads a file of a size that the node takes.
func readImport(stdin io.Reader, file string) ([]byte, error) {
	in := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxImport+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	if len(text) > maxImport {
		return nil, fmt.Errorf("%s is larger than %d MiB; split it", file, maxImport>>20)
	}
	return text, nil
}
