package main

import (
	"fmt"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"switchpoint/bench"
)

func benchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure this build on this machine",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(benchHealthCommand(), benchHTTPCommand(), benchClusterCommand(), benchLoginsCommand(), benchStormCommand(), benchOutageCommand())
	return cmd
}

func benchHealthCommand() *cobra.Command {
	var o bench.HealthOptions
	var load bench.HealthLoad
	var role string
	cmd := &cobra.Command{
		Use:   "health",
		Short: "100,000 health checks: CPU, lateness and memory of the prober",
		Long: `Run a prober process over addresses x monitors checks on loopback addresses, first alone, then
with all cores saturated by other processes while one address in a hundred is killed. Prints every
figure with its limit; exit status 1 when one does not hold.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			switch role {
			case "":
				if o.Burners == 0 {
					o.Burners = 2 * runtime.NumCPU()
				}
				return bench.Health(ctx, cmd.OutOrStdout(), o)
			case "responder":
				return bench.Respond(ctx, []string{fmt.Sprintf("0.0.0.0:%d", load.Port)})
			case "victims":
				return bench.Respond(ctx, bench.VictimAddresses(o.Addresses, load.Port))
			case "prober":
				load.Addresses, load.Monitors, load.Interval = o.Addresses, o.Monitors, o.Interval
				return bench.Probe(ctx, load, cmd.OutOrStdout())
			case "burn":
				return bench.Burn(ctx, cmd.InOrStdin())
			default:
				return usagef(cmd, "unknown role %q", role)
			}
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Addresses, "addresses", 10000, "loopback addresses")
	f.IntVar(&o.Monitors, "monitors", 10, "monitors per address")
	f.DurationVar(&o.Interval, "interval", 5*time.Second, "interval of each check")
	f.DurationVar(&o.Steady, "steady", 3*time.Minute, "length of the steady part")
	f.IntVar(&o.Burners, "burners", 0, "processes that saturate the cores (default: two for each core)")
	// What the processes of one run tell each other.
	f.StringVar(&role, "role", "", "")
	f.IntVar(&load.Victims, "victims", 0, "")
	f.IntVar(&load.Port, "port", 0, "")
	f.IntVar(&load.Victim, "victim-port", 0, "")
	for _, hidden := range []string{"role", "victims", "port", "victim-port"} {
		if err := f.MarkHidden(hidden); err != nil {
			panic(err) // the flag is declared above
		}
	}
	return cmd
}
