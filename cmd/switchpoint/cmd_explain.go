package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"switchpoint/admin"
	"switchpoint/configs"
	"switchpoint/gtm"
	"switchpoint/healthcheck"
)

func explainCommand() *cobra.Command {
	var e explainFlags
	cmd := &cobra.Command{
		Use:   "explain",
		Short: "Why this answer, this broker, this home, this desktop",
		Long: `Explain a decision, with the state that a running node has now:

  which data centre   --client IP --name NAME [--type A|AAAA|SRV]
  which broker        --client IP [--listener NAME]
  whose home          --user USER [--directory NAME]
  a refusal           --ref REF

Ask a running node with --node STATE_DIR (or the path of its admin.sock). With -c FILE instead, the
DNS question is answered from the file alone as if everything were up.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return e.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVarP(&e.config, "config", "c", "", "configuration file: assume that everything is up")
	addNodeFlag(cmd, &e.node)
	f.StringVar(&e.client, "client", "", "address of the client")
	f.StringVar(&e.name, "name", "", "DNS name")
	f.StringVar(&e.qtype, "type", "A", "DNS type")
	f.StringVar(&e.listener, "listener", "", "lb listener (default: the first)")
	f.StringVar(&e.user, "user", "", "user name")
	f.StringVar(&e.directory, "directory", "", "directory of the user (default: all, in order)")
	f.StringVar(&e.ref, "ref", "", "reference from a refusal")
	return cmd
}

type explainFlags struct {
	config, node                   string
	client, name, qtype            string
	listener, user, directory, ref string
}

func (e explainFlags) run(cmd *cobra.Command) error {
	if (e.config == "") == (e.node == "") {
		return usagef(cmd, "give one of --node and --config")
	}
	path, query := "explain/lb", url.Values{"client": {e.client}, "listener": {e.listener}}
	switch {
	case e.ref != "":
		path, query = "explain/ref", url.Values{"ref": {e.ref}}
	case e.user != "":
		path, query = "explain/login", url.Values{"user": {e.user}, "directory": {e.directory}}
	case e.name != "":
		path, query = "explain/dns", url.Values{"client": {e.client}, "name": {e.name}, "type": {e.qtype}}
	case e.client == "":
		return usagef(cmd, "say what to explain: --name, --user, --ref or --client")
	}
	if e.config != "" {
		if path != "explain/dns" {
			return usagef(cmd, "with --config only a DNS question (--name) can be explained; the rest needs a running node")
		}
		return e.offline(cmd.OutOrStdout())
	}
	var out explanation
	if err := ask(cmd.Context(), e.node, http.MethodGet, path+"?"+query.Encode(), nil, &out); err != nil {
		return err
	}
	return printLines(cmd.OutOrStdout(), out.Lines)
}

// offline answers from the file, with every check up.
func (e explainFlags) offline(w io.Writer) error {
	cfg, err := configs.Load(e.config)
	if err != nil {
		return fmt.Errorf("%s is not usable:\n%w", e.config, err)
	}
	if cfg.GTM == nil {
		return fmt.Errorf("%s has no [gtm] section", e.config)
	}
	q, err := dnsQuestion(e.client, e.name, e.qtype)
	if err != nil {
		return err
	}
	engine := healthcheck.New(healthcheck.Options{})
	table, err := gtm.Compile(*cfg.GTM, engine.Ref)
	if err != nil {
		return err
	}
	return printLines(w, resolve(table, engine.AssumeUp(), q).Lines)
}

func dnsQuestion(client, name, qtype string) (gtm.Question, error) {
	addr, err := netip.ParseAddr(client)
	if err != nil {
		return gtm.Question{}, fmt.Errorf("client %q is no IP address; give --client", client)
	}
	return gtm.NewQuestion(name, qtype, addr)
}

// resolve answers a question and tells why.
func resolve(t *gtm.Table, snap *healthcheck.Snapshot, q gtm.Question) explanation {
	answer := gtm.Resolve(t, snap, q)
	lines := answer.Reason.Lines()
	return explanation{append(lines, answer.Lines()...)}
}

// addNodeFlag adds --node, the way to a running node that all operating commands share.
func addNodeFlag(cmd *cobra.Command, node *string) {
	cmd.Flags().StringVar(node, "node", "", "state directory (or admin.sock) of the running node to ask")
}

// ask calls an admin operation of the node behind --node.
func ask(ctx context.Context, node, method, path string, body []byte, out any) error {
	socket := node
	if filepath.Base(node) != admin.SocketName {
		socket = filepath.Join(node, admin.SocketName)
	}
	return admin.NewClient(socket).Do(ctx, method, path, body, out)
}

func printLines(w io.Writer, lines []string) error {
	_, err := fmt.Fprintln(w, strings.Join(lines, "\n"))
	return err
}
