package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"switchpoint/bench/httpbench"
)

func benchHTTPCommand() *cobra.Command {
	var o httpbench.Options
	var jsonFile, svgFile, task string
	var gate bool
	cmd := &cobra.Command{
		Use:   "http",
		Short: "The balancer beside HAProxy and nginx: CPU per request, latency, memory",
		Long: `Run this build, HAProxy and nginx side by side in front of one upstream, each one worker pinned to
one core, upstream and clients (wrk, and an open loop of its own) to another. Prints medians with the
limits that they are held to, + where they hold and - where not. Needs the Debian packages haproxy,
nginx-light and wrk.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if task != "" {
				return httpbench.Perform(cmd.Context(), task, cmd.InOrStdin(), cmd.OutOrStdout())
			}
			if err := o.Validate(); err != nil {
				return usagef(cmd, "%v", err)
			}
			if f, ok := cmd.ErrOrStderr().(*os.File); ok && term.IsTerminal(int(f.Fd())) {
				o.Progress = f
			}
			report, err := httpbench.Run(cmd.Context(), o)
			if err != nil {
				return err
			}
			if err := errors.Join(report.Write(cmd.OutOrStdout()), saveReport(report, jsonFile, svgFile)); err != nil {
				return err
			}
			if missed := report.Missed(); gate && len(missed) > 0 {
				return fmt.Errorf("limits that do not hold:\n%s", strings.Join(missed, "\n"))
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.Rows, "rows", nil, "some of "+strings.Join(httpbench.RowIDs(), ",")+" (default: all)")
	f.IntVar(&o.Rounds, "rounds", 7, "measurements of each proxy in each row, in turns")
	f.DurationVar(&o.Length, "length", 3*time.Second, "length of one measurement")
	f.IntVar(&o.Idle, "idle", 10000, "idle clients")
	f.IntVar(&o.Slow, "slow", 5000, "slow clients")
	f.BoolVar(&o.Quick, "quick", false, "some rows, one round of one second, few clients: does it still run?")
	f.BoolVar(&gate, "gate", false, "exit with status 1 when a limit does not hold")
	f.StringVar(&jsonFile, "json", "", "file for all figures")
	f.StringVar(&svgFile, "svg", "", "file for a plot")
	f.StringVar(&o.Profiles, "profiles", "", "folder for CPU profiles of this build, one for each row")
	// What the processes of one run are told.
	f.StringVar(&task, "task", "", "")
	if err := f.MarkHidden("task"); err != nil {
		panic(err) // the flag is declared above
	}
	return cmd
}

func saveReport(r *httpbench.Report, jsonFile, svgFile string) error {
	return errors.Join(
		saveTo(jsonFile, func(w io.Writer) error {
			enc := json.NewEncoder(w)
			enc.SetIndent("", "  ")
			return enc.Encode(r)
		}),
		saveTo(svgFile, r.SVG))
}

// saveTo writes a file, unless none is named.
func saveTo(name string, write func(io.Writer) error) error {
	if name == "" {
		return nil
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}
