package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"switchpoint/broker"
	"switchpoint/configs"
	"switchpoint/peer"
)

func peerCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "peer",
		Short: "Trust between processes",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var file string
	key := &cobra.Command{
		Use:   "key -c FILE",
		Short: "Print this node's public key for the [[peer.trust]] of others; made on first use",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return required(cmd, "config")
			}
			cfg, err := configs.Load(file)
			if err != nil {
				return fmt.Errorf("%s is not usable:\n%w", file, err)
			}
			id, err := peer.LoadIdentity(cfg.Node.StateDir)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), id.PublicKey())
			return err
		},
	}
	key.Flags().StringVarP(&file, "config", "c", "", "configuration file")
	cmd.AddCommand(key)
	return cmd
}

func hashPasswordCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "hash-password",
		Short: "Print the argon2id hash of a password for a [[user]] of broker.toml",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			password, err := readPassword(cmd, file)
			if err != nil {
				return err
			}
			hash, err := broker.HashPassword(password)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), hash)
			return err
		},
	}
	cmd.Flags().StringVar(&file, "password-file", "", "file with the password (- is standard input)")
	return cmd
}
