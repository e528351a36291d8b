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

	"switchpoint/bench/simulate"
)

func simulateCommand() *cobra.Command {
	var o simulate.Options
	var jsonFile, svgFile string
	var gate bool
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Play lb_method against the rules of other balancers, in virtual time",
		Long: `Play balancers in front of servers in virtual time: slow and stuttering servers, one that fails fast,
one that comes back in a login storm. The methods of lb run as they are in the balancer; beside them
stand the published rules of NetScaler, nginx, Traefik, HAProxy, Finagle, Linkerd, C3 and Prequal. The
same seeds give the same figures. docs/lb-routing.md says what they mean.

Policies: ` + wrapped(simulate.PolicyNames()),
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.Validate(); err != nil {
				return usagef(cmd, "%v", err)
			}
			if f, ok := cmd.ErrOrStderr().(*os.File); ok && term.IsTerminal(int(f.Fd())) {
				o.Progress = f
			}
			report, err := simulate.Run(cmd.Context(), o)
			if err != nil {
				return err
			}
			save := func(w io.Writer) error {
				enc := json.NewEncoder(w)
				enc.SetIndent("", "  ")
				return enc.Encode(report)
			}
			if err := errors.Join(report.Write(cmd.OutOrStdout()), saveTo(jsonFile, save), saveTo(svgFile, report.SVG)); err != nil {
				return err
			}
			if missed := report.Missed(); gate && len(missed) > 0 {
				return fmt.Errorf("limits that do not hold:\n%s", strings.Join(missed, "\n"))
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.Scenarios, "scenario", nil, "some of "+strings.Join(simulate.ScenarioIDs(), ",")+" (default: all)")
	f.StringSliceVar(&o.Policies, "policy", nil, "some of the policies above (default: the published rules and "+simulate.DefaultPolicies()[0]+")")
	f.IntVar(&o.Seeds, "seeds", 20, "games of each policy in each scenario")
	f.DurationVar(&o.Length, "length", 100*time.Second, "virtual time that is measured, where the scenario leaves it open")
	f.DurationVar(&o.Delay, "delay", 200*time.Microsecond, "of the network, one way")
	f.BoolVar(&o.Quick, "quick", false, "3 seeds of 20 s: does it still run?")
	f.BoolVar(&gate, "gate", false, "exit with status 1 when a limit does not hold")
	f.StringVar(&jsonFile, "json", "", "file for all figures, of each seed too")
	f.StringVar(&svgFile, "svg", "", "file for a plot")
	return cmd
}

// wrapped lists words in lines of a help text.
func wrapped(words []string) string {
	var b strings.Builder
	width := len("Policies: ")
	for i, word := range words {
		if i > 0 {
			word = ", " + word
		}
		if width += len(word); width > 100 {
			word = ",\n" + strings.TrimPrefix(word, ", ")
			width = len(word)
		}
		b.WriteString(word)
	}
	return b.String() + "."
}
