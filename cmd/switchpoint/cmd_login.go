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

	"switchpoint/broker/client"
)

// passwordEnv names the environment variable that scripts and the demo hand the password in.
const passwordEnv = "SWITCHPOINT_PASSWORD"

func loginCommand() *cobra.Command {
	var o client.Options
	var source, passwordFile string
	cmd := &cobra.Command{
		Use:   "login (--url URL | --domain DOMAIN) --user USER",
		Short: "Be a thin client: resolve, sign in, follow redirects, print the desktop and every hop",
		Long: `Sign in as a thin client would: ask DNS, connect to the address that it answers, sign in, follow
redirects to the home cluster and ask for the first desktop offered. Every hop is printed with its
time. The password is read from --password-file, else from $` + passwordEnv + `, else from the terminal.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := loginOptions(cmd, &o, source, passwordFile); err != nil {
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
	f.BoolVar(&o.OffersOnly, "offers", false, "list what is offered, connect to nothing")
	f.DurationVar(&o.Timeout, "timeout", 130*time.Second, "give up after")
	return cmd
}

func loginOptions(cmd *cobra.Command, o *client.Options, source, passwordFile string) error {
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
	var err error
	o.Password, err = readPassword(cmd, passwordFile)
	return err
}

func printLogin(ctx context.Context, w io.Writer, o client.Options) error {
	began := time.Now()
	out, err := client.Login(ctx, o)
	for _, h := range out.Hops {
		_, _ = fmt.Fprintf(w, "%8.1f ms  %-8s  %s\n", float64(h.Took.Microseconds())/1000, h.Step, h.Detail)
	}
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
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return firstLine(cmd.InOrStdin())
	}
	_, _ = fmt.Fprint(cmd.ErrOrStderr(), "Password: ")
	p, err := term.ReadPassword(int(in.Fd()))
	_, _ = fmt.Fprintln(cmd.ErrOrStderr())
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	return string(p), nil
}

func firstLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read password: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}
