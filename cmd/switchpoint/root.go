package main

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker (see the Makefile); a plain `go build` leaves it empty.
var version string

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "switchpoint",
		Short: "Which data centre, which broker, whose home: one binary, one truth about health",
		Long: `Switchpoint takes a thin client from one name to the right desktop: global DNS (which data
centre), an L7 balancer (which broker) and home-broker redirection (whose home), together with the
connection broker itself.

Start with:  switchpoint demo`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef(cmd, "unknown command %q", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{command: cmd.CommandPath(), err: err}
	})
	root.AddCommand(
		demoCommand(),
		runCommand(),
		checkCommand(),
		loginCommand(),
		conformanceCommand(),
		explainCommand(),
		applyCommand(),
		exportCommand(),
		centersCommand(),
		desktopsCommand(),
		assignmentsCommand(),
		probeCommand(),
		benchCommand(),
		simulateCommand(),
		healthCommand(),
		clusterCommand(),
		jobsCommand(),
		limitsCommand(),
		outageCommand(),
		hostCacheCommand(),
		leasesCommand(),
		drainCommand(),
		gtmCommand(),
		lbCommand(),
		redirectCommand(),
		statusCommand(),
		reloadCommand(),
		peerCommand(),
		agentCommand(),
		hashPasswordCommand(),
		versionCommand(),
	)
	return root
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "switchpoint %s %s %s/%s\n", buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// buildVersion is the linked version, else what the module system knows.
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// listGroup is a group of commands that lists, with the flags of its list, when none of them is named.
func listGroup(use, short string, list *cobra.Command, others ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: list.Long, Args: noArgs, RunE: list.RunE}
	cmd.Flags().AddFlagSet(list.Flags())
	cmd.AddCommand(list)
	cmd.AddCommand(others...)
	return cmd
}

// noArgs refuses positional arguments as a usage error.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef(cmd, "unknown argument %q", args[0])
	}
	return nil
}

func usagef(cmd *cobra.Command, format string, args ...any) error {
	return &usageError{command: cmd.CommandPath(), err: fmt.Errorf(format, args...)}
}

// required is the usage error for a flag that must be given.
func required(cmd *cobra.Command, flag string) error {
	return &usageError{command: cmd.CommandPath(), err: errors.New("--" + flag + " is required")}
}
