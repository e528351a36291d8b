package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"switchpoint/configs"
)

func checkCommand() *cobra.Command {
	var file string
	var effective bool
	cmd := &cobra.Command{
		Use:   "check -c FILE",
		Short: "Validate a configuration; every problem with file:line",
		Long: `Validate FILE and everything that it names (zone files, certificates, the broker's seed). Every
problem is printed with its place and its cure; exit status 1 if there is any.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return required(cmd, "config")
			}
			return check(cmd, file, effective)
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration file")
	cmd.Flags().BoolVar(&effective, "effective", false, "print all values with their origin")
	return cmd
}

func check(cmd *cobra.Command, file string, effective bool) error {
	cfg, err := configs.Load(file)
	var problems configs.Problems
	switch {
	case errors.As(err, &problems):
		for _, p := range problems {
			_, _ = fmt.Fprintln(cmd.OutOrStdout(), p)
		}
		return errSaid
	case err != nil:
		return err
	case effective:
		return configs.Effective(cmd.OutOrStdout(), cfg)
	}
	for _, n := range cfg.Notes() {
		_, _ = fmt.Fprintln(cmd.OutOrStdout(), "note:", n)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: no problems found\n", file)
	return err
}
