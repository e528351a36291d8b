package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"switchpoint/directory/demodir"
)

func demoCommand() *cobra.Command {
	var dir string
	var once, cluster bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Everything embedded: two data centres on loopback, and a login from DNS to desktop",
		Long: `Start two data centres on this machine, us on 127.0.1.0/24 and uk on 127.0.2.0/24, each with a
gtm, an lb and two brokers of its own cluster, and one directory. Every role is a process of its own
with its own TOML file in a directory that is kept. One login is shown hop by hop, then a map of
addresses, users and commands to try; Ctrl-C ends it.

With --once the whole story is played and checked instead, failures included; exit status 0 only if
every part holds.

With --cluster it is one data centre on 127.0.3.0/24 instead: five brokers on one PostgreSQL behind an
lb. The PostgreSQL is the demo's own, in its directory; its programs must be installed (Debian package
postgresql).`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := demoDir(dir)
			if err != nil {
				return err
			}
			play := demo
			if cluster {
				play = demoCluster
			}
			return play(cmd.Context(), cmd.OutOrStdout(), dir, once)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "directory to make and keep (default: a new one below the temporary directory)")
	cmd.Flags().BoolVar(&once, "once", false, "play the whole story, check it, and end")
	cmd.Flags().BoolVar(&cluster, "cluster", false, "five brokers on one PostgreSQL instead of two data centres")
	cmd.AddCommand(demoDirectoryCommand())
	return cmd
}

// demoDir is the absolute path of the demo's directory; empty makes a new one.
func demoDir(dir string) (string, error) {
	if dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.MkdirTemp("", "switchpoint-demo-")
	if err != nil {
		return "", fmt.Errorf("make the demo's directory: %w", err)
	}
	return dir, nil
}

func demo(ctx context.Context, w io.Writer, dir string, once bool) error {
	s, err := prepareStage(dir, stageOptions{})
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(w, "The demo lives in %s\n", s.dir)
	defer s.stop()
	if err := s.start(ctx, w); err != nil {
		return err
	}
	if once {
		return playStory(ctx, w, s)
	}
	if err := showOneLogin(ctx, w, s); err != nil {
		return err
	}
	s.printMap(w)
	return s.wait(ctx, w)
}

// demoDirectoryCommand is the directory's process; the demo starts it.
func demoDirectoryCommand() *cobra.Command {
	var o demodir.Options
	var cert, key string
	var untilEOF bool
	cmd := &cobra.Command{
		Use:    "directory",
		Short:  "The demo's LDAP directory",
		Hidden: true,
		Args:   noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if untilEOF {
				var cancel context.CancelFunc
				ctx, cancel = endWith(ctx, cmd.InOrStdin())
				defer cancel()
			}
			o.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			var err error
			if o.TLS, err = serverTLS(cert, key); err != nil {
				return err
			}
			server, err := demodir.New(o)
			if err != nil {
				return err
			}
			return server.Run(ctx)
		},
	}
	cmd.Flags().StringVar(&o.Listen, "listen", "127.0.0.1:0", "address to serve LDAPS on")
	cmd.Flags().StringVar(&cert, "cert", "", "PEM certificate")
	cmd.Flags().StringVar(&key, "key", "", "PEM key")
	cmd.Flags().BoolVar(&untilEOF, "until-eof", false, "stop when standard input ends")
	return cmd
}
