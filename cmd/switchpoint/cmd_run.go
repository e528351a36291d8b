package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"switchpoint/configs"
)

func runCommand() *cobra.Command {
	var file string
	var untilEOF bool
	cmd := &cobra.Command{
		Use:   "run -c FILE",
		Short: "Run the roles that FILE configures",
		Long: `Run the roles that FILE configures (gtm, lb, broker, in any mix) until SIGTERM or SIGINT, which
drain. SIGHUP reloads FILE; a reload that fails changes nothing.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return required(cmd, "config")
			}
			ctx := cmd.Context()
			if untilEOF {
				var cancel context.CancelFunc
				ctx, cancel = endWith(ctx, cmd.InOrStdin())
				defer cancel()
			}
			return run(ctx, file, cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration file")
	cmd.Flags().BoolVar(&untilEOF, "until-eof", false, "stop when standard input ends: for a supervisor that must not leave children behind")
	return cmd
}

func run(ctx context.Context, file string, logTo io.Writer) error {
	cfg, err := configs.Load(file)
	if err != nil {
		return fmt.Errorf("%s is not usable:\n%w", file, err)
	}
	paceGC(cfg)
	log := newLogger(cfg.Log, logTo).With("node", cfg.Node.Name)
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	a, err := newApp(ctx, cfg, log)
	if err != nil {
		return err
	}
	log.Info("starting", "version", buildVersion(), "config", file, "roles", a.roles())
	return a.Run(ctx, hup)
}

// endWith ends the context when r ends. The reader goroutine lives as long as r does, which is
// the process: reading standard input cannot be interrupted.
func endWith(ctx context.Context, r io.Reader) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, r)
		cancel()
	}()
	return ctx, cancel
}

func newLogger(c configs.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	// Load has validated the level; an empty one is info, the zero Level.
	_ = level.UnmarshalText([]byte(c.Level))
	opts := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}
