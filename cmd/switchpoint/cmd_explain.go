package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"switchpoint/admin"
	"switchpoint/configs"
	adsites "switchpoint/directory/sites"
	"switchpoint/gtm"
	"switchpoint/healthcheck"
)

func explainCommand() *cobra.Command {
	var e explainFlags
	cmd := &cobra.Command{
		Use:   "explain",
		Short: "Why this answer, this broker, this home, this desktop",
		Long: `Explain a decision, with the state that a running node has now:

  which data centre   --client IP --name NAME [--type A|AAAA|SRV] [--subnet PREFIX]
  which broker        --client IP [--listener NAME] [--host NAME] [--path /PATH]; tcp: --host is the name in TLS
  whose home          --user USER [--directory NAME] [--client IP]
  a refusal           --ref REF

Ask a running node with --node STATE_DIR (or the path of its admin.sock). With -c FILE instead, the
DNS question is answered from the file alone as if everything were up.

What if: --down DATACENTER and --at-mode primary|dr ask for the DNS answer as it would be then, without
waiting for the demotion limit. The draw that spreads clients is another one each time; --draw repeats one.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return e.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVarP(&e.config, "config", "c", "", "configuration file: assume that everything is up")
	addNodeFlag(cmd, &e.node)
	f.StringVar(&e.client, "client", "", "address of the client")
	f.StringVar(&e.name, "name", "", "DNS name")
	f.StringVar(&e.qtype, "type", "A", "DNS type")
	f.StringVar(&e.subnet, "subnet", "", "client subnet that a resolver sends (EDNS), such as 10.2.0.0/24")
	f.StringSliceVar(&e.down, "down", nil, "data centre that is supposed to be down, or NAME/DATACENTER/ADDRESS:PORT with * and ?")
	f.StringVar(&e.mode, "at-mode", "", "mode of operation that is supposed to be set, primary or dr")
	f.Uint64Var(&e.draw, "draw", 0, "the draw, to repeat an answer (default: a new one)")
	f.StringVar(&e.listener, "listener", "", "lb listener (default: the first)")
	f.StringVar(&e.host, "host", "", "Host of the request, for the listener's routes; for a tcp listener the name that the client asks for in TLS")
	f.StringVar(&e.path, "path", "", "path of the request, for the listener's routes")
	f.StringVar(&e.user, "user", "", "user name")
	f.StringVar(&e.directory, "directory", "", "directory of the user (default: all, in order)")
	f.StringVar(&e.ref, "ref", "", "reference from a refusal")
	return cmd
}

type explainFlags struct {
	config, node         string
	client, name, qtype  string
	subnet, mode         string
	down                 []string
	draw                 uint64
	listener, host, path string
	user, directory, ref string
}

func (e explainFlags) run(cmd *cobra.Command) error {
	if (e.config == "") == (e.node == "") {
		return usagef(cmd, "give one of --node and --config")
	}
	path, query := "explain/lb", e.lbQuery()
	switch {
	case e.ref != "":
		path, query = "explain/ref", url.Values{"ref": {e.ref}}
	case e.user != "":
		path, query = "explain/login", url.Values{"user": {e.user}, "directory": {e.directory}, "client": {e.client}}
	case e.name != "":
		path, query = "explain/dns", e.dnsQuery(cmd)
	case e.client == "":
		return usagef(cmd, "say what to explain: --name, --user, --ref or --client")
	}
	if e.config != "" {
		if path != "explain/dns" {
			return usagef(cmd, "with --config only a DNS question (--name) can be explained; the rest needs a running node")
		}
		return e.offline(cmd.OutOrStdout(), query)
	}
	var out explanation
	if err := ask(cmd.Context(), e.node, http.MethodGet, path+"?"+query.Encode(), nil, &out); err != nil {
		return err
	}
	return printLines(cmd.OutOrStdout(), out.Lines)
}

// lbQuery is the request to a balancer as the admin API takes it.
func (e explainFlags) lbQuery() url.Values {
	return url.Values{"client": {e.client}, "listener": {e.listener}, "host": {e.host}, "path": {e.path}}
}

// dnsQuery is the DNS question as the admin API takes it.
func (e explainFlags) dnsQuery(cmd *cobra.Command) url.Values {
	query := url.Values{"client": {e.client}, "name": {e.name}, "type": {e.qtype}}
	for key, value := range map[string]string{"subnet": e.subnet, "mode": e.mode} {
		if value != "" {
			query.Set(key, value)
		}
	}
	if len(e.down) > 0 {
		query["down"] = e.down
	}
	if cmd.Flags().Changed("draw") {
		query.Set("draw", strconv.FormatUint(e.draw, 10))
	}
	return query
}

// offline answers from the file, with every check up.
func (e explainFlags) offline(w io.Writer, query url.Values) error {
	cfg, err := configs.Load(e.config)
	if err != nil {
		return fmt.Errorf("%s is not usable:\n%w", e.config, err)
	}
	if cfg.GTM == nil {
		return fmt.Errorf("%s has no [gtm] section", e.config)
	}
	q, what, err := dnsQuestion(query)
	if err != nil {
		return err
	}
	engine := healthcheck.New(healthcheck.Options{})
	table, err := gtm.Compile(*cfg.GTM, engine.Ref)
	if err != nil {
		return err
	}
	var notes []string
	switch from := cfg.GTM.Sites; {
	case from.LDIF != "":
		set, err := readSites(from.LDIF)
		if err != nil {
			return err
		}
		table = table.WithSites(set)
	case len(from.URLs) > 0:
		notes = []string{"note:        without the sites of Active Directory, which only a running node has"}
	}
	answer, err := table.Explain(engine.AssumeUp(), time.Now(), q, what)
	if err != nil {
		return err
	}
	return printLines(w, append(notes, explained(q, what, answer)...))
}

// readSites reads an export of sites and subnets.
func readSites(path string) (*adsites.Set, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the sites of Active Directory: %w", err)
	}
	defer func() { _ = f.Close() }()
	set, err := adsites.ReadLDIF(f)
	if err != nil {
		return nil, fmt.Errorf("read the sites of Active Directory from %s: %w", path, err)
	}
	return set, nil
}

// dnsQuestion reads a DNS question and what is supposed with it.
func dnsQuestion(query url.Values) (gtm.Question, gtm.WhatIf, error) {
	what := gtm.WhatIf{Down: query["down"], Mode: query.Get("mode")}
	addr, err := netip.ParseAddr(query.Get("client"))
	if err != nil {
		return gtm.Question{}, what, fmt.Errorf("client %q is no IP address; give --client", query.Get("client"))
	}
	q, err := gtm.NewQuestion(query.Get("name"), query.Get("type"), addr)
	if err != nil {
		return q, what, err
	}
	if text := query.Get("subnet"); text != "" {
		if q.Subnet, err = netip.ParsePrefix(text); err != nil || q.Subnet != q.Subnet.Masked() {
			return q, what, fmt.Errorf("subnet %q is no prefix without bits beyond its length; write it as in 10.2.0.0/24", text)
		}
	}
	q.Draw = rand.Uint64()
	if text := query.Get("draw"); text != "" {
		if q.Draw, err = strconv.ParseUint(text, 10, 64); err != nil {
			return q, what, fmt.Errorf("draw %q is no number from 0 to 2^64-1", text)
		}
	}
	return q, what, nil
}

// explained tells an answer and why it is what it is.
func explained(q gtm.Question, what gtm.WhatIf, answer gtm.Answer) []string {
	var lines []string
	if len(what.Down) > 0 {
		lines = append(lines, "supposed:    down: "+strings.Join(what.Down, ", "))
	}
	if what.Mode != "" {
		lines = append(lines, "supposed:    mode "+what.Mode)
	}
	lines = append(append(lines, answer.Reason.Lines()...), answer.Lines()...)
	if answer.Reason.Name != "" {
		lines = append(lines, fmt.Sprintf("repeat with: --draw %d", q.Draw))
	}
	return lines
}

// addNodeFlag adds --node, the way to a running node that all operating commands share.
func addNodeFlag(cmd *cobra.Command, node *string) {
	cmd.Flags().StringVar(node, "node", "", "state directory (or admin.sock) of the running node to ask")
}

// ask calls an admin operation of the node behind --node.
//
// A change carries the name of who makes it, for the log.
func ask(ctx context.Context, node, method, path string, body []byte, out any) error {
	if where, query, _ := strings.Cut(path, "?"); method == http.MethodPost {
		if v, err := url.ParseQuery(query); err == nil && !v.Has("by") {
			v.Set("by", currentUser())
			path = where + "?" + v.Encode()
		}
	}
	socket := node
	if filepath.Base(node) != admin.SocketName {
		socket = filepath.Join(node, admin.SocketName)
	}
	c := admin.NewClient(socket)
	c.Note = func(text string) { tellNote(ctx, text) }
	return c.Do(ctx, method, path, body, out)
}

func printLines(w io.Writer, lines []string) error {
	_, err := fmt.Fprintln(w, strings.Join(lines, "\n"))
	return err
}
