package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"switchpoint/healthcheck"
)

func healthCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "health",
		Short: "What a running node holds to be alive, and why",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(healthListCommand(), healthShowCommand(), healthHistoryCommand(), healthForceCommand(), healthReleaseCommand())
	return cmd
}

func healthListCommand() *cobra.Command {
	var node string
	cmd := &cobra.Command{
		Use:   "list --node STATE_DIR",
		Short: "All checks with state, since when, and why",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			var lines []checkLine
			if err := ask(cmd.Context(), node, http.MethodGet, "health", nil, &lines); err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			_, _ = fmt.Fprintln(w, "ADDRESS\tMONITOR\tSTATE\tSINCE\tTTFB\tMODE\tREASON")
			for _, l := range lines {
				_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%.1f ms\t%s\t%s\n",
					l.Address, l.Monitor, l.State, since(l.Since), l.TTFB, modeText(l.Mode, l.ModeSince, time.Now()), l.Reason)
			}
			return w.Flush()
		},
	}
	addNodeFlag(cmd, &node)
	return cmd
}

// oneCheck is a command that asks about one ADDRESS and, where an address has several, one of
// its monitors.
func oneCheck(use, short, path string) *cobra.Command {
	var node, monitor string
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef(cmd, "give one ADDRESS, such as 10.0.0.1:443")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			var out explanation
			query := url.Values{"address": {args[0]}, "monitor": {monitor}}
			if err := ask(cmd.Context(), node, http.MethodGet, path+"?"+query.Encode(), nil, &out); err != nil {
				return err
			}
			return printLines(cmd.OutOrStdout(), out.Lines)
		},
	}
	addNodeFlag(cmd, &node)
	cmd.Flags().StringVar(&monitor, "monitor", "", "monitor, when the address has several (default: all)")
	return cmd
}

func healthShowCommand() *cobra.Command {
	return oneCheck("show ADDRESS --node STATE_DIR", "Everything known of one address, in one screen", "health/show")
}

func healthHistoryCommand() *cobra.Command {
	return oneCheck("history ADDRESS --node STATE_DIR", "Changes of state and failures of one address, oldest first", "health/history")
}

func healthForceCommand() *cobra.Command {
	var node, state string
	var o healthcheck.Override
	var lasting time.Duration
	cmd := &cobra.Command{
		Use:   "force PATTERN --state STATE --node STATE_DIR",
		Short: "Overrule what is measured, until released or expired",
		Long: `Overrule what is measured for every check that PATTERN matches: "ADDRESS" or "ADDRESS/MONITOR",
with * and ?. The override has an owner, stands beside the measurement, is kept across restarts and
ends with health release, or by itself after --for.`,
		Args: onePattern,
		RunE: func(cmd *cobra.Command, args []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			if err := o.State.UnmarshalText([]byte(state)); err != nil {
				return usagef(cmd, "--state: %v", err)
			}
			o.Pattern = args[0]
			if !cmd.Flags().Changed("owner") {
				o.Owner = currentUser()
			}
			if cmd.Flags().Changed("for") {
				if lasting <= 0 {
					return usagef(cmd, "--for must be longer than 0; leave it out for an override without an end")
				}
				o.Expires = time.Now().Add(lasting)
			}
			body, err := json.Marshal(o)
			if err != nil {
				return err
			}
			var out explanation
			if err := ask(cmd.Context(), node, http.MethodPost, "health/force", body, &out); err != nil {
				return err
			}
			return printLines(cmd.OutOrStdout(), out.Lines)
		},
	}
	addNodeFlag(cmd, &node)
	f := cmd.Flags()
	f.StringVar(&state, "state", "", "up, overloaded, down, draining or maintenance")
	f.StringVar(&o.Reason, "reason", "", "why, shown wherever the state is")
	f.StringVar(&o.Owner, "owner", "", "who says so (default: the user who runs the command)")
	f.DurationVar(&lasting, "for", 0, "how long (default: until released)")
	return cmd
}

func healthReleaseCommand() *cobra.Command {
	var node string
	cmd := &cobra.Command{
		Use:   "release PATTERN --node STATE_DIR",
		Short: "Take back an override, and let checks with manual resume serve again",
		Args:  onePattern,
		RunE: func(cmd *cobra.Command, args []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			var out explanation
			query := url.Values{"pattern": {args[0]}}
			if err := ask(cmd.Context(), node, http.MethodPost, "health/release?"+query.Encode(), nil, &out); err != nil {
				return err
			}
			return printLines(cmd.OutOrStdout(), out.Lines)
		},
	}
	addNodeFlag(cmd, &node)
	return cmd
}

func onePattern(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usagef(cmd, `give one PATTERN, such as 10.0.0.1:443 or "10.0.0.*/is_alive"`)
	}
	return nil
}

// currentUser is who an override is said to come from, unless --owner tells.
func currentUser() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}

func since(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return time.Since(t).Truncate(time.Second).String()
}

// modeText is the mode that a target says, and for how long it has.
func modeText(mode string, since, now time.Time) string {
	switch {
	case mode == "":
		return "-"
	case since.IsZero():
		return mode
	}
	return mode + " for " + age(since, now)
}

// eventLine tells one moment of a check's past.
func eventLine(k healthcheck.Key, e healthcheck.Event) string {
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, "%s  %s/%s  ", e.At.UTC().Format("2006-01-02 15:04:05.000"), k.Address, k.Monitor)
	if e.Kind == healthcheck.Moved {
		_, _ = fmt.Fprintf(&b, "%s -> %s: %s", e.From, e.To, e.Reason)
		return b.String()
	}
	_, _ = fmt.Fprintf(&b, "failed: %s", e.Reason)
	if e.Times > 1 {
		_, _ = fmt.Fprintf(&b, " (%d times until %s)", e.Times, e.Until.UTC().Format("15:04:05"))
	}
	if len(e.FirstBytes) > 0 {
		_, _ = fmt.Fprintf(&b, "; first bytes %q", e.FirstBytes)
	}
	return b.String()
}
