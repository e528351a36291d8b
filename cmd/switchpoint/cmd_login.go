package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"switchpoint/broker/api"
	"switchpoint/broker/client"
)

// passwordEnv names the environment variable that scripts and the demo hand the password in.
const passwordEnv = "SWITCHPOINT_PASSWORD"

func loginCommand() *cobra.Command {
	var o client.Options
	var source, passwordFile, newPasswordFile string
	cmd := &cobra.Command{
		Use:   "login (--url URL | --domain DOMAIN) --user USER",
		Short: "Be a thin client: resolve, sign in, follow redirects, print the desktop and every hop",
		Long: `Sign in as a thin client would: ask DNS, connect to the address that it answers, sign in, follow
redirects to the home cluster and ask for the first desktop offered. Every hop is printed with its
time as soon as it is over. The password is read from --password-file, else from $` + passwordEnv + `, else
from the terminal. A password that has expired is changed to the one of --new-password-file; without
that flag the new one is asked for on the terminal.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := loginOptions(cmd, &o, source, passwordFile, newPasswordFile); err != nil {
				return err
			}
			return printLogin(cmd.Context(), cmd.OutOrStdout(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.URL, "url", "", "where to sign in, such as https://cb.company.com")
	f.StringVar(&o.Domain, "domain", "", "find the broker by SRV _connection_broker._tcp.DOMAIN instead")
	f.StringSliceVar(&o.DNS, "dns", nil, "DNS server host:port to ask; several are asked in order (default: the system's)")
	f.StringVar(&source, "source", "", "local address to sign in from")
	f.StringVar(&o.CA, "ca", "", "PEM file with the roots to trust (default: the system's)")
	f.StringVarP(&o.User, "user", "u", "", "user name")
	f.StringVar(&passwordFile, "password-file", "", "file with the password (- is standard input)")
	f.StringVar(&newPasswordFile, "new-password-file", "", "file with the new password, should one be asked for")
	f.BoolVar(&o.OffersOnly, "offers", false, "list what is offered, connect to nothing")
	f.BoolVar(&o.Client.NoRedirect, "no-redirect", false, "have the broker go to the home cluster, as for a client that cannot follow a redirect")
	f.DurationVar(&o.Timeout, "timeout", 130*time.Second, "give up after")
	return cmd
}

func loginOptions(cmd *cobra.Command, o *client.Options, source, passwordFile, newPasswordFile string) error {
	if (o.URL == "") == (o.Domain == "") {
		return usagef(cmd, "give one of --url and --domain")
	}
	if o.User == "" {
		return required(cmd, "user")
	}
	if source != "" {
		a, err := netip.ParseAddr(source)
		if err != nil {
			return usagef(cmd, "--source %q is no IP address", source)
		}
		o.Source = a
	}
	if newPasswordFile == "-" {
		return usagef(cmd, "--new-password-file is a file; standard input may have the password")
	}
	o.Client.Name, o.Client.Version = "switchpoint login", buildVersion()
	var err error
	if o.Password, err = readPassword(cmd, passwordFile); err != nil {
		return err
	}
	if newPasswordFile != "" {
		o.NewPassword, err = readPassword(cmd, newPasswordFile)
		return err
	}
	if in, ok := keyboard(cmd); ok {
		o.AskNewPassword = func(_ context.Context, p api.Prompt) (string, error) { return askNewPassword(cmd, in, p) }
	}
	return nil
}

// keyboard is the terminal that a person types at, if there is one.
func keyboard(cmd *cobra.Command) (*os.File, bool) {
	in, ok := cmd.InOrStdin().(*os.File)
	return in, ok && term.IsTerminal(int(in.Fd()))
}

// askNewPassword asks for a new password until it was typed twice alike.
func askNewPassword(cmd *cobra.Command, in *os.File, p api.Prompt) (string, error) {
	w := cmd.ErrOrStderr()
	_, _ = fmt.Fprintln(w, client.Plain(p.Text))
	for {
		first, err := readHidden(w, in, "New password: ")
		if err != nil {
			return "", err
		}
		again, err := readHidden(w, in, "New password, once more: ")
		if err != nil {
			return "", err
		}
		switch {
		case first == "":
			return "", errors.New("no new password was given")
		case first == again:
			return first, nil
		}
		_, _ = fmt.Fprintln(w, "These two are not the same.")
	}
}

// readHidden reads a line from the terminal without showing it.
func readHidden(w io.Writer, in *os.File, question string) (string, error) {
	_, _ = fmt.Fprint(w, question)
	p, err := term.ReadPassword(int(in.Fd()))
	_, _ = fmt.Fprintln(w)
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	return string(p), nil
}

func printLogin(ctx context.Context, w io.Writer, o client.Options) error {
	began := time.Now()
	o.OnHop = func(h client.Hop) {
		_, _ = fmt.Fprintf(w, "%8.1f ms  %-8s  %s\n", float64(h.Took.Microseconds())/1000, h.Step, h.Detail)
	}
	out, err := client.Login(ctx, o)
	if err != nil {
		return err
	}
	if o.OffersOnly {
		for _, offer := range out.Offers {
			_, _ = fmt.Fprintf(w, "%s (%s desktop of %s, %s): %s\n", offer.Name, offer.Kind, offer.Pool, offer.Protocol, offer.State)
		}
		return nil
	}
	d := out.Desktop
	_, err = fmt.Fprintf(w, "desktop %s: %s:%d (%s), through broker %s, in %.1f ms\n",
		d.Desktop, d.Host, d.Port, d.Protocol, out.Broker.Name, float64(time.Since(began).Microseconds())/1000)
	return err
}

// readPassword takes the password from where a person or a script would give it, never from the
// command line, which other users of the machine can read.
func readPassword(cmd *cobra.Command, file string) (string, error) {
	switch {
	case file == "-":
		return firstLine(cmd.InOrStdin())
	case file != "":
		f, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("read password: %w", err)
		}
		defer func() { _ = f.Close() }()
		return firstLine(f)
	}
	if p, ok := os.LookupEnv(passwordEnv); ok {
		return p, nil
	}
	in, ok := keyboard(cmd)
	if !ok {
		return firstLine(cmd.InOrStdin())
	}
	return readHidden(cmd.ErrOrStderr(), in, "Password: ")
}

func firstLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read password: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}
