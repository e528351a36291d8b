package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"switchpoint/broker"
	"switchpoint/broker/agent"
	"switchpoint/configs"
)

const defaultAgentState = "/var/lib/switchpoint-agent"

func agentCommand() *cobra.Command {
	var file string
	var c agent.Config
	cmd := &cobra.Command{
		Use:   "agent (-c FILE | --broker URL [--token REF] [--state DIR])",
		Short: "Run on a desktop: register it, report its sessions, bring it back after a reset",
		Long: `Run on a desktop: enrol it with a token, then report every 30 s that it is on, how busy it is and whose
sessions run on it, until SIGTERM or SIGINT. The agent goes on with another broker when one is gone.

--token and the file name the token as "file:PATH" or "env:NAME"; it is needed once, the key that the
broker gives for it stays in the state directory.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (file == "") == (len(c.Brokers) == 0) {
				return usagef(cmd, "give one of --config and --broker")
			}
			if file != "" {
				var err error
				if c, err = configs.LoadAgent(file); err != nil {
					return fmt.Errorf("%s is not usable:\n%w", file, err)
				}
			}
			log := newLogger(configs.Log{Level: configs.DefaultLogLevel, Format: configs.DefaultLogFormat}, cmd.ErrOrStderr())
			a, err := agent.New(agent.Options{Config: c, Version: buildVersion(), Log: log})
			if err != nil {
				return err
			}
			return a.Run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVarP(&file, "config", "c", "", "file of the agent (TOML)")
	f.StringSliceVar(&c.Brokers, "broker", nil, "URL of a broker, such as https://cb.company.com; several are asked in turn")
	f.StringVar(&c.Token, "token", "", "token to enrol with, as file:PATH or env:NAME")
	f.StringVar(&c.StateDir, "state", defaultAgentState, "directory that keeps the key")
	f.StringVar(&c.Desktop, "desktop", "", "name of the desktop in the inventory (default: the host name)")
	f.StringVar(&c.CA, "ca", "", "PEM file with the roots to trust (default: the system's)")
	cmd.AddCommand(agentTokenCommand(), agentListCommand(), agentCleanCommand())
	return cmd
}

func agentTokenCommand() *cobra.Command {
	var node, pool string
	var life time.Duration
	cmd := &cobra.Command{
		Use:   "enrol-token (DESKTOP | --pool POOL) [--for 24h] --node STATE_DIR",
		Short: "Make a token with which the agent of a desktop, or those of a pool's desktops, enrol once",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef(cmd, "name one desktop or one --pool")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			if (len(args) == 1) == (pool != "") {
				return usagef(cmd, "name one desktop or one --pool")
			}
			q := url.Values{"for": {life.String()}, "desktop": args, "pool": {pool}}
			var out explanation
			if err := ask(cmd.Context(), node, http.MethodPost, "agents/token?"+q.Encode(), nil, &out); err != nil {
				return err
			}
			return printLines(cmd.OutOrStdout(), out.Lines)
		},
	}
	cmd.Flags().StringVar(&pool, "pool", "", "desktop pool whose desktops may enrol, each once")
	cmd.Flags().DurationVar(&life, "for", broker.DefaultEnrolLife, "how long the token is good")
	addNodeFlag(cmd, &node)
	return cmd
}

func agentListCommand() *cobra.Command {
	var node string
	cmd := &cobra.Command{
		Use:   "list [DESKTOP] --node STATE_DIR",
		Short: "The agents of the desktops: newest heartbeat, load and sessions",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef(cmd, "name one desktop, or none for all")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			var list []broker.AgentStatus
			if err := ask(cmd.Context(), node, http.MethodGet, "agents?"+url.Values{"desktop": args}.Encode(), nil, &list); err != nil {
				return err
			}
			if len(list) == 0 {
				return errors.New("no agent has enrolled; `switchpoint agent enrol-token` makes tokens")
			}
			return printTable(cmd.OutOrStdout(), agentColumns(), list)
		},
	}
	addNodeFlag(cmd, &node)
	return cmd
}

// agentColumns are those of the list.
func agentColumns() []column[broker.AgentStatus] {
	return []column[broker.AgentStatus]{
		{"desktop", "DESKTOP", func(a broker.AgentStatus) string { return a.Desktop }},
		{"pool", "POOL", func(a broker.AgentStatus) string { return a.Pool }},
		{"heard", "HEARD OF", func(a broker.AgentStatus) string { return yesNo(a.Fresh) }},
		{"seen", "NEWEST HEARTBEAT", func(a broker.AgentStatus) string {
			if a.Seen.IsZero() {
				return "none"
			}
			return a.Seen.Format(time.RFC3339)
		}},
		{"load", "LOAD", func(a broker.AgentStatus) string { return strconv.FormatFloat(a.Load, 'f', 2, 64) }},
		{"sessions", "SESSIONS", func(a broker.AgentStatus) string {
			var all []string
			for _, s := range a.Sessions {
				all = append(all, s.User+" "+s.State)
			}
			return strings.Join(all, ", ")
		}},
		{"reset", "RESET", func(a broker.AgentStatus) string { return a.Reset }},
		{"address", "ADDRESS", func(a broker.AgentStatus) string { return a.Address }},
		{"version", "VERSION", func(a broker.AgentStatus) string { return a.Version }},
	}
}

func agentCleanCommand() *cobra.Command {
	var node string
	cmd := &cobra.Command{
		Use:   "clean DESKTOP --node STATE_DIR",
		Short: "Vouch for a desktop that waits for a reset or is quarantined: it goes back to its pool",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef(cmd, "name one desktop")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			var out explanation
			if err := ask(cmd.Context(), node, http.MethodPost, "agents/clean?"+url.Values{"desktop": args}.Encode(), nil, &out); err != nil {
				return err
			}
			return printLines(cmd.OutOrStdout(), out.Lines)
		},
	}
	addNodeFlag(cmd, &node)
	return cmd
}
