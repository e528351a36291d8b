package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"switchpoint/bench/outagebench"
)

func benchOutageCommand() *cobra.Command {
	var o outagebench.Options
	var jsonFile, svgFile string
	var task bool
	cmd := &cobra.Command{
		Use:   "outage",
		Short: "The database goes away: logins without it, how soon that is known, copies, merging",
		Long: `Run gtm, lb, one broker, PostgreSQL (fsync on) and slapd as processes of this machine, and let the
database be killed, stopped and silenced while users sign in. Prints the highest rate with and without
the database, how long it takes until the broker knows, what became of every login, time and memory of
a host cache of 100,000 users and 50,000 desktops, and how fast an outage is merged. Exit status 1
when a limit does not hold, except with --quick. Needs the Debian packages postgresql and slapd.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if task {
				return outagebench.Perform(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout())
			}
			if err := o.Validate(); err != nil {
				return usagef(cmd, "%v", err)
			}
			o.Progress = terminal(cmd)
			report, err := outagebench.Run(cmd.Context(), o)
			if report == nil {
				return err
			}
			err = errors.Join(err, report.Write(cmd.OutOrStdout()),
				saveTo(jsonFile, func(w io.Writer) error {
					enc := json.NewEncoder(w)
					enc.SetIndent("", "  ")
					return enc.Encode(report)
				}),
				saveTo(svgFile, report.SVG))
			if missed := report.Missed(); err == nil && !o.Quick && len(missed) > 0 {
				err = fmt.Errorf("limits that do not hold:\n%s", strings.Join(missed, "\n"))
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.Parts, "parts", nil, "some of "+strings.Join(outagebench.Parts(), ",")+" (default: all)")
	f.StringSliceVar(&o.Profiles, "profile", nil, "some of fast,citrix, for the part switch (default: both)")
	f.DurationVar(&o.Hold, "hold", 0, "how long the highest rate is held (default 30s)")
	f.DurationVar(&o.Probe, "probe", 0, "length of a short measurement (default 3s)")
	f.Float64Var(&o.Rate, "rate", 0, "logins a second while the database vanishes (default 100)")
	f.IntVar(&o.Users, "users", 0, "users in the directory (default 20000)")
	f.IntVar(&o.Leased, "leased", 0, "users with a lease (default 5000)")
	f.IntVar(&o.Signed, "signed-in", 0, "users who are signed in to the cluster that is copied (default 100000)")
	f.IntVar(&o.Desktops, "desktops", 0, "desktops of it, half of them assigned (default 50000)")
	f.IntVar(&o.Rounds, "rounds", 0, "copies of it (default 5)")
	f.StringVar(&o.Logs, "logs", "", "folder for the logs of all processes")
	f.BoolVar(&o.Quick, "quick", false, "a few logins of each kind: does it still run?")
	f.StringVar(&jsonFile, "json", "", "file for all figures, with the histograms")
	f.StringVar(&svgFile, "svg", "", "file for plots: logins and latency over time while the database vanishes")
	// The process that copies, which reads what it is to do.
	f.BoolVar(&task, "task", false, "")
	if err := f.MarkHidden("task"); err != nil {
		panic(err) // the flag is declared above
	}
	return cmd
}
