package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"switchpoint/broker/api/conformance"
	"switchpoint/configs"
)

func conformanceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "conformance",
		Short: "Try clients of other makers against what a broker does",
	}
	cmd.AddCommand(conformanceClientCommand())
	return cmd
}

// conformanceFlags are those of the command.
type conformanceFlags struct {
	options conformance.Options
	caFile  string
	run     string
	limit   time.Duration // of one run
	wait    time.Duration
	list    bool
	json    bool
}

// quietFor ends the waiting for a client by hand.
const quietFor = 5 * time.Second

func conformanceClientCommand() *cobra.Command {
	var f conformanceFlags
	cmd := &cobra.Command{
		Use:   "client [--listen ADDRESS] [--run COMMAND]",
		Short: "Play a broker for a thin client, and say what the client does right and wrong",
		Long: `Play a broker that leads a thin client through everything that can happen to a login: a new password,
the queue, redirects with and without a ticket, redirect loops, refusals, a busy broker, lost answers.
Each scenario is a user name: let the client sign in as each of them, with the password
` + conformance.Password + `, and connect to the first desktop.

With --run the command does that itself, one run for each scenario. COMMAND is given to the shell with
SWITCHPOINT_URL, SWITCHPOINT_USER, SWITCHPOINT_PASSWORD, SWITCHPOINT_CA (a file) and
SWITCHPOINT_NEW_PASSWORD (also as a file: SWITCHPOINT_NEW_PASSWORD_FILE), and is to end with status 0 if
and only if the user has come to his desktop.

Without --run the report comes when every scenario was played, on Ctrl-C, or after --wait. The exit status
is 0 if every scenario was passed.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.options.Log = newLogger(configs.Log{Level: "warn", Format: configs.DefaultLogFormat}, cmd.ErrOrStderr())
			return f.play(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.options.Listen, "listen", "127.0.0.1:8443", "where clients start; the two ports after it are the other cluster and plain http")
	flags.StringVar(&f.options.Name, "name", "", "host name that clients reach this machine by (default: that of --listen)")
	flags.StringVar(&f.options.Cert, "cert", "", "PEM file with the certificate (default: one of its own)")
	flags.StringVar(&f.options.Key, "key", "", "PEM file with the key of --cert")
	flags.StringVar(&f.caFile, "ca-file", "conformance-ca.pem", "where to write the certificate that clients have to trust")
	flags.StringSliceVar(&f.options.Only, "only", nil, "play these scenarios alone")
	flags.DurationVar(&f.options.Slow, "slow", 12*time.Second, "how long the slow answer takes")
	flags.StringVar(&f.run, "run", "", "command that signs in once")
	flags.DurationVar(&f.limit, "run-timeout", 60*time.Second, "end a run of the command after")
	flags.DurationVar(&f.wait, "wait", time.Hour, "wait for clients this long")
	flags.BoolVar(&f.list, "list", false, "list the scenarios and end")
	flags.BoolVar(&f.json, "json", false, "print the report as JSON")
	return cmd
}

func (f *conformanceFlags) play(ctx context.Context, w, progress io.Writer) error {
	if f.list {
		f.options.Listen = "127.0.0.1:0"
	}
	s, err := conformance.New(f.options)
	if err != nil {
		return err
	}
	if f.list {
		defer s.Close()
		return listScenarios(w, s.Scenarios())
	}
	if s.CA() != nil {
		if err := os.WriteFile(f.caFile, s.CA(), 0o644); err != nil { //nolint:gosec // a certificate is public
			s.Close()
			return fmt.Errorf("write the certificate: %w", err)
		}
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx)) // Ctrl-C ends the play, then comes the report
	g := new(errgroup.Group)
	g.Go(func() error { return s.Run(running) })
	var problems []string
	if f.run != "" {
		problems, err = f.runAll(ctx, s, progress)
	} else {
		_, _ = fmt.Fprintf(progress, "Clients sign in at %s as one of these users, with the password %s:\n\n", s.URL(), conformance.Password)
		_ = listScenarios(progress, s.Scenarios()) // what cannot be shown does not end the play
		awaitClients(ctx, s, f.wait)
	}
	stop()
	if err := errors.Join(err, g.Wait()); err != nil {
		return err
	}
	return f.report(w, s.Report(), problems)
}

// report prints how it went; its error is the verdict.
func (f *conformanceFlags) report(w io.Writer, r conformance.Report, problems []string) error {
	r.Strays = append(r.Strays, problems...)
	if f.json {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		if err := e.Encode(r); err != nil {
			return err
		}
	} else if err := r.WriteText(w); err != nil {
		return err
	}
	switch {
	case len(problems) > 0:
		return fmt.Errorf("%d runs ended with another status than their scenario", len(problems))
	case !r.Passed():
		return fmt.Errorf("the client does not conform: %d of %d scenarios passed", r.Count(conformance.Passed), len(r.Results))
	}
	return nil
}

func listScenarios(w io.Writer, list []conformance.Scenario) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range list {
		_, _ = fmt.Fprintf(tab, "  %s\t%s\n", s.Name, s.What) // Flush has the error
	}
	return tab.Flush()
}

// awaitClients returns when every scenario was played, when ctx ends, or after the time.
func awaitClients(ctx context.Context, s *conformance.Server, wait time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for !s.Quiet(quietFor) {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// runAll runs the command for each scenario. It returns what was wrong with how the runs ended.
func (f *conformanceFlags) runAll(ctx context.Context, s *conformance.Server, progress io.Writer) (problems []string, err error) {
	dir, err := os.MkdirTemp("", "switchpoint-conformance")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ca, newPassword := f.caFile, filepath.Join(dir, "new-password")
	if s.CA() == nil {
		ca = ""
	} else if ca, err = filepath.Abs(ca); err != nil {
		return nil, err
	}
	if err := os.WriteFile(newPassword, []byte(conformance.NewPassword+"\n"), 0o600); err != nil {
		return nil, err
	}
	for _, c := range s.Scenarios() {
		began := time.Now()
		env := []string{
			"SWITCHPOINT_URL=" + s.URL(), "SWITCHPOINT_CA=" + ca, "SWITCHPOINT_USER=" + c.Name, "SWITCHPOINT_PASSWORD=" + conformance.Password,
			"SWITCHPOINT_NEW_PASSWORD=" + conformance.NewPassword, "SWITCHPOINT_NEW_PASSWORD_FILE=" + newPassword,
		}
		ended, output := f.runOnce(ctx, env)
		if ctx.Err() != nil {
			return problems, nil
		}
		_, _ = fmt.Fprintf(progress, "%-34s %5.1f s  %s\n", c.Name, time.Since(began).Seconds(), ended)
		if (ended == "status 0") != c.Succeeds && !c.May {
			want := "another status than 0"
			if c.Succeeds {
				want = "status 0"
			}
			problems = append(problems, fmt.Sprintf("the run of %s ended with %s, want %s; its last words: %s", c.Name, ended, want, output))
		}
	}
	return problems, nil
}

// runOnce runs the command; ended says how it ended, output is its last line.
func (f *conformanceFlags) runOnce(ctx context.Context, env []string) (ended, output string) {
	ctx, cancel := context.WithTimeout(ctx, f.limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", f.run) //nolint:gosec // it is the command that the user gave
	cmd.Env = append(os.Environ(), env...)
	cmd.WaitDelay = time.Second
	text, err := cmd.CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	output = fmt.Sprintf("%.200q", lines[len(lines)-1])
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && ctx.Err() == nil {
		return fmt.Sprintf("status %d", exit.ExitCode()), output
	}
	switch {
	case ctx.Err() != nil:
		return fmt.Sprintf("no end within %s", f.limit), output
	case err != nil:
		return err.Error(), output
	}
	return "status 0", output
}
