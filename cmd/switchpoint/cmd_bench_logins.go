package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	loginbench "switchpoint/bench/logins"
)

// reportFlags are where a report of logins goes.
type reportFlags struct {
	json, svg string
	gate      bool
}

func (r *reportFlags) declare(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&r.gate, "gate", false, "exit with status 1 when a limit does not hold")
	f.StringVar(&r.json, "json", "", "file for all figures, with the histograms")
	f.StringVar(&r.svg, "svg", "", "file for plots: throughput and latency over load, latency over time")
}

// give prints and saves a report.
func (r *reportFlags) give(cmd *cobra.Command, report *loginbench.Report) error {
	err := errors.Join(
		report.Write(cmd.OutOrStdout()),
		saveTo(r.json, func(w io.Writer) error {
			enc := json.NewEncoder(w)
			enc.SetIndent("", "  ")
			return enc.Encode(report)
		}),
		saveTo(r.svg, report.SVG))
	if missed := report.Missed(); err == nil && r.gate && len(missed) > 0 {
		err = fmt.Errorf("limits that do not hold:\n%s", strings.Join(missed, "\n"))
	}
	return err
}

func benchLoginsCommand() *cobra.Command {
	var o loginbench.Options
	var p loginbench.ProfileOptions
	var out reportFlags
	var task string
	cmd := &cobra.Command{
		Use:   "logins",
		Short: "Logins through DNS, balancer, broker, PostgreSQL and slapd: how many a second, how fast",
		Long: `Run gtm, lb, brokers, PostgreSQL (fsync on) and slapd as processes of this machine, and thin clients
that resolve, connect by TLS and sign in, each from an address of its own. Prints the highest rate that
is held for a minute with 0 errors, latency over load, the broker beside what database and directory can
do, brokers held to equal CPU shares, and who used how much CPU. Needs the Debian packages postgresql
and slapd; the part linear needs root.

With --profile the clients are those of another product, as HTTP steps: a file, or one of ` + strings.Join(loginbench.Profiles(), ", ") + `.
Nothing is started then; they go to --url.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if task != "" {
				return loginbench.Perform(cmd.Context(), task, cmd.InOrStdin(), cmd.OutOrStdout())
			}
			if err := o.Validate(); err != nil {
				return usagef(cmd, "%v", err)
			}
			o.Progress = terminal(cmd)
			if p.Profile != "" {
				return benchProfile(cmd, o, p, &out)
			}
			report, err := loginbench.Run(cmd.Context(), o)
			if report == nil {
				return err
			}
			return errors.Join(err, out.give(cmd, report))
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.Parts, "parts", nil, "some of "+strings.Join(loginbench.Parts(), ",")+" (default: all)")
	f.StringSliceVar(&o.Stores, "store", nil, "some of "+strings.Join(loginbench.Stores(), ",")+", for the part chain (default: all)")
	f.DurationVar(&o.Hold, "hold", 0, "how long the highest rate is held (default 1m)")
	f.DurationVar(&o.Soak, "soak", 0, "length of the part soak (default 10m)")
	f.IntVar(&o.Rounds, "rounds", 0, "measurements of each figure of the part limit, in turns (default 7)")
	f.IntSliceVar(&o.Brokers, "brokers", nil, "numbers of brokers of the part linear (default 1,2,4,8,10)")
	f.Float64Var(&o.Share, "share", 0, "of one core, that each of them gets (default 0.05)")
	f.StringVar(&o.Profiles, "cpu-profile", "", "folder for a CPU profile of the broker alone")
	f.StringVar(&p.Profile, "profile", "", "measure another product by its HTTP steps: a file, or a name")
	f.StringVar(&p.URL, "url", "", "where it is, such as https://broker.company.com")
	f.StringVar(&p.People, "people", "", "CSV file with its users: name,password")
	f.StringVar(&p.CA, "ca", "", "PEM file with the roots to trust there (default: the system's)")
	f.StringToStringVar(&p.Vars, "var", nil, "name=value, for the variables of the profile")
	commonLoginFlags(cmd, &o)
	out.declare(cmd)
	// What the processes of one run are told.
	f.StringVar(&task, "task", "", "")
	if err := f.MarkHidden("task"); err != nil {
		panic(err) // the flag is declared above
	}
	return cmd
}

// commonLoginFlags are those of `bench logins` and `bench storm`.
func commonLoginFlags(cmd *cobra.Command, o *loginbench.Options) {
	f := cmd.Flags()
	f.IntVar(&o.Users, "users", 0, "users in the directory (default 10000)")
	f.Float64Var(&o.Rate, "rate", 0, "logins a second (default: the highest is searched)")
	f.DurationVar(&o.Probe, "probe", 0, "length of a short measurement (default 3s)")
	f.StringVar(&o.Logs, "logs", "", "folder for the logs of all processes")
	f.BoolVar(&o.Quick, "quick", false, "a few logins of each kind: does it still run?")
}

// terminal is where progress is shown; nil when nobody watches.
func terminal(cmd *cobra.Command) io.Writer {
	if f, ok := cmd.ErrOrStderr().(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}

// benchProfile measures another product.
func benchProfile(cmd *cobra.Command, o loginbench.Options, p loginbench.ProfileOptions, out *reportFlags) error {
	if err := p.Validate(); err != nil {
		return usagef(cmd, "%v", err)
	}
	report, err := loginbench.RunProfile(cmd.Context(), o, p)
	if err != nil {
		return err
	}
	return out.give(cmd, report)
}

func benchStormCommand() *cobra.Command {
	o := loginbench.Options{Parts: loginbench.StormParts()}
	var out reportFlags
	cmd := &cobra.Command{
		Use:   "storm",
		Short: "Monday morning: everybody within a minute from cold, and a directory that is too slow",
		Long: `Let all users sign in and connect within a minute of a cold start, and then offer a directory that
does 100 binds a second three times that for three minutes: who gets in, how late, and how soon
is_alive is back at 200. Needs the Debian packages postgresql and slapd.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.Validate(); err != nil {
				return usagef(cmd, "%v", err)
			}
			o.Progress = terminal(cmd)
			report, err := loginbench.Run(cmd.Context(), o)
			if report == nil {
				return err
			}
			return errors.Join(err, out.give(cmd, report))
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.Parts, "parts", loginbench.StormParts(), "some of "+strings.Join(loginbench.StormParts(), ","))
	f.DurationVar(&o.StormFor, "within", 0, "time in which all users arrive (default 1m)")
	f.Float64Var(&o.SlowRate, "slow", 0, "binds a second of the slow directory (default 100)")
	f.Float64Var(&o.SlowLoad, "load", 0, "logins a second that it is offered (default: three times as many)")
	f.DurationVar(&o.SlowFor, "for", 0, "how long (default 3m)")
	commonLoginFlags(cmd, &o)
	out.declare(cmd)
	return cmd
}
