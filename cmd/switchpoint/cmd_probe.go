package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"switchpoint/configs"
	"switchpoint/healthcheck"
)

func probeCommand() *cobra.Command {
	var file, name, address string
	m := healthcheck.Monitor{Name: "command-line"}
	cmd := &cobra.Command{
		Use:   "probe --address HOST:PORT",
		Short: "Run one monitor once against an address and show every step",
		Long: `Run one monitor once against an address and show every step with its time. The monitor is the one
named --monitor in FILE, or is made from the flags. Exit status 1 unless the target is up.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if address == "" {
				return required(cmd, "address")
			}
			if (file == "") != (name == "") {
				return usagef(cmd, "--config and --monitor belong together")
			}
			settings := healthcheck.Settings{}
			if file != "" {
				if flag := monitorFlag(cmd); flag != "" {
					return usagef(cmd, "--%s and --config exclude each other: the file says what the monitor does", flag)
				}
				found, s, err := findMonitor(file, name)
				if err != nil {
					return err
				}
				m, settings = found, s
			}
			// One probe has no interval; this one only lets any --timeout pass.
			m.Interval = max(m.Interval, m.Timeout+time.Second)
			if err := m.Validate(); err != nil {
				return err
			}
			r := healthcheck.Probe(cmd.Context(), m.WithDefaults(), address, settings)
			if err := printProbe(cmd.OutOrStdout(), address, r); err != nil {
				return err
			}
			if r.State != healthcheck.Up {
				return errSaid
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVarP(&file, "config", "c", "", "configuration file with the monitor")
	f.StringVar(&name, "monitor", "", "name of a [[monitor]] in the configuration")
	f.StringVar(&address, "address", "", "target, host:port")
	f.StringVar(&m.Kind, "kind", "https", "kind of monitor, such as https, tcp, tls or icmp; with FILE those that need more settings too")
	f.StringVar(&m.Send, "send", "", "request to send (default for http and https: the is_alive page)")
	f.StringVar(&m.Receive, "receive", "", "what the answer must contain; regex:... for an expression")
	f.StringVar(&m.CA, "ca", "", "PEM file with the roots to trust")
	f.StringVar(&m.ServerName, "server-name", "", "TLS name to verify")
	f.DurationVar(&m.Timeout, "timeout", healthcheck.DefaultTimeout, "time for the whole probe")
	return cmd
}

// monitorFlag names a flag on the command line that says what the monitor does.
func monitorFlag(cmd *cobra.Command) string {
	for _, name := range []string{"kind", "send", "receive", "ca", "server-name", "timeout"} {
		if cmd.Flags().Changed(name) {
			return name
		}
	}
	return ""
}

func findMonitor(file, name string) (healthcheck.Monitor, healthcheck.Settings, error) {
	cfg, err := configs.Load(file)
	if err != nil {
		return healthcheck.Monitor{}, healthcheck.Settings{}, fmt.Errorf("%s is not usable:\n%w", file, err)
	}
	for _, m := range cfg.Monitors {
		if m.Name == name {
			return m, cfg.Health, nil
		}
	}
	return healthcheck.Monitor{}, healthcheck.Settings{}, fmt.Errorf("%s has no [[monitor]] named %q; it has %s", file, name, strings.Join(monitorNames(cfg), ", "))
}

// printProbe shows the steps that were reached.
func printProbe(w io.Writer, address string, r healthcheck.Result) error {
	var b strings.Builder
	step := func(name string, d time.Duration) {
		if d > 0 {
			_, _ = fmt.Fprintf(&b, "%8.2f ms  %s\n", float64(d.Microseconds())/1000, name)
		}
	}
	step("resolve", r.Resolve)
	step("dial", r.Dial)
	step("TLS", r.TLS)
	step("first byte", r.TTFB)
	step("total", r.Total)
	if r.Status != 0 {
		_, _ = fmt.Fprintf(&b, "status       %d\n", r.Status)
	}
	if len(r.FirstBytes) > 0 {
		_, _ = fmt.Fprintf(&b, "first bytes  %q\n", r.FirstBytes)
	}
	if !r.CertExpiry.IsZero() {
		_, _ = fmt.Fprintf(&b, "certificate  valid until %s\n", r.CertExpiry.UTC().Format(time.DateOnly))
	}
	if r.Load.Mode != "" || r.Load.Capacity >= 0 {
		_, _ = fmt.Fprintf(&b, "load         mode %s, %d of %d in work\n", r.Load.Mode, r.Load.Active, r.Load.Capacity)
	}
	_, err := fmt.Fprintf(w, "%s%s is %s: %s\n", b.String(), address, r.State, r.Reason)
	return err
}
