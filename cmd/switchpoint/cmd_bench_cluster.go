package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"switchpoint/bench/clusterbench"
)

func benchClusterCommand() *cobra.Command {
	var o clusterbench.Options
	var jsonFile string
	var gate bool
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "The cluster's database: job queue, login statement beside pgbench, connects",
		Long: `Run a PostgreSQL of its own (fsync on) and measure what a cluster's database does: job claim and
reschedule on PostgreSQL and on the embedded database, the login statement through the store beside
the same SQL under pgbench, and connects at a fixed rate in a database with many users, desktops and
log rows. Prints medians with the limits that they are held to, + where they hold and - where not.
Needs the Debian package postgresql.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.Validate(); err != nil {
				return usagef(cmd, "%v", err)
			}
			if f, ok := cmd.ErrOrStderr().(*os.File); ok && term.IsTerminal(int(f.Fd())) {
				o.Progress = f
			}
			report, err := clusterbench.Run(cmd.Context(), o)
			if err != nil {
				return err
			}
			if err := report.Write(cmd.OutOrStdout()); err != nil {
				return err
			}
			err = saveTo(jsonFile, func(w io.Writer) error {
				enc := json.NewEncoder(w)
				enc.SetIndent("", "  ")
				return enc.Encode(report)
			})
			if missed := report.Missed(); err == nil && gate && len(missed) > 0 {
				err = fmt.Errorf("limits that do not hold:\n%s", strings.Join(missed, "\n"))
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.Parts, "parts", nil, "some of "+strings.Join(clusterbench.Parts(), ",")+" (default: all)")
	f.IntVar(&o.Rounds, "rounds", 7, "measurements of each figure; the store and pgbench take turns")
	f.DurationVar(&o.Length, "length", 3*time.Second, "length of one measurement")
	f.IntVar(&o.Clients, "clients", 16, "clients of the login statement at once")
	f.IntVar(&o.LogRows, "log-rows", 1_000_000, "log rows of the database that users connect in")
	f.IntVar(&o.Users, "users", 100_000, "users that are signed in there")
	f.IntVar(&o.Desktops, "desktops", 50_000, "desktops there, half of them assigned")
	f.IntVar(&o.Rate, "rate", 200, "connects a second there")
	f.BoolVar(&o.Quick, "quick", false, "one round of one second, few rows: does it still run?")
	f.BoolVar(&gate, "gate", false, "exit with status 1 when a limit does not hold")
	f.StringVar(&jsonFile, "json", "", "file for all figures")
	f.StringVar(&o.Profile, "profile", "", "file for a CPU profile of the store's logins")
	return cmd
}
