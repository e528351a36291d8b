package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"switchpoint/broker"
)

func redirectCommand() *cobra.Command {
	return listGroup("redirect", "Whose home: the rules that send users to other clusters", redirectListCommand(),
		redirectTestCommand())
}

func redirectListCommand() *cobra.Command {
	var node string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list --node STATE_DIR",
		Short: "The rules with their hits, and the destinations with their states",
		Long: `List the redirect rules of each directory and the destinations that they name, as a broker has them.

HITS counts the logins that a rule decided at this broker since it started, or since the rule was
changed; OUTCOMES says what came of them: forward, log-in-here (the destination is this cluster, or
home_unavailable says so) or home-unavailable. TICKET says whether users come to a destination without
being asked for their password again, or why not.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			var s broker.RedirectStatus
			if err := ask(cmd.Context(), node, http.MethodGet, "redirect", nil, &s); err != nil {
				return err
			}
			if asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", "  ")
				return e.Encode(s)
			}
			return printRedirects(cmd, s)
		},
	}
	addNodeFlag(cmd, &node)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printRedirects(cmd *cobra.Command, s broker.RedirectStatus) error {
	out := cmd.OutOrStdout()
	said := ""
	for _, r := range s.Rules {
		if r.Directory != said {
			said = r.Directory
			if _, err := fmt.Fprintf(out, "%s: %s\n", r.Directory, r.Summary); err != nil {
				return err
			}
		}
	}
	rules := []column[broker.RuleStatus]{
		{"directory", "DIRECTORY", func(r broker.RuleStatus) string { return r.Directory }},
		{"line", "LINE", func(r broker.RuleStatus) string { return number(r.Line) }},
		{"rule", "RULE", func(r broker.RuleStatus) string { return r.Text }},
		{"hits", "HITS", func(r broker.RuleStatus) string { return strconv.FormatUint(r.Hits, 10) }},
		{"outcomes", "OUTCOMES", func(r broker.RuleStatus) string { return outcomeWords(r.Outcomes) }},
	}
	if _, err := fmt.Fprintln(out); err != nil {
		return err
	}
	if err := printTable(out, rules, s.Rules); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out); err != nil {
		return err
	}
	return printTable(out, []column[broker.DestinationStatus]{
		{"name", "DESTINATION", func(d broker.DestinationStatus) string { return d.Name }},
		{"cluster", "CLUSTER", func(d broker.DestinationStatus) string { return d.Cluster }},
		{"url", "URL", func(d broker.DestinationStatus) string { return d.URL }},
		{"available", "AVAILABLE", func(d broker.DestinationStatus) string { return yesNo(d.Available) }},
		{"ticket", "TICKET", ticketCell},
		{"why", "WHY", func(d broker.DestinationStatus) string { return d.Why }},
	}, s.Destinations)
}

func outcomeWords(outcomes map[string]uint64) string {
	var words []string
	for name, n := range outcomes {
		words = append(words, fmt.Sprintf("%s %d", name, n))
	}
	return strings.Join(sorted(words), ", ")
}

func ticketCell(d broker.DestinationStatus) string {
	switch {
	case d.Here:
		return ""
	case d.Ticket == "":
		return "yes"
	}
	return "no: " + d.Ticket
}

func redirectTestCommand() *cobra.Command {
	var t redirectTest
	cmd := &cobra.Command{
		Use:   "test (--node STATE_DIR --user NAME | --file BROKER_TOML --attribute NAME=VALUE)",
		Short: "Where a user's login would go, rule by rule",
		Long: `Follow the redirect rules for a user without signing him in.

With --node, a running broker finds the user in the directory (no password is needed), takes the states
that the destinations have now and asks their clusters where a rule says if_assigned_only. Nothing is
changed and no hit is counted.

With --file, the rules of a broker.toml are followed for the attributes that are given, as if all
destinations were available; --config names the process's own file instead, whose seed is read.
--assigned names destinations that have a desktop for the user.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return t.run(cmd) },
	}
	f := cmd.Flags()
	addNodeFlag(cmd, &t.node)
	f.StringVar(&t.user, "user", "", "user name, as it is typed at a sign-in")
	f.StringVar(&t.directory, "directory", "", "directory of the user (default: all, in order; with --file: the first)")
	f.StringSliceVar(&t.down, "assume-down", nil, "destination that is supposed not to be available")
	f.StringVarP(&t.file, "file", "f", "", "broker.toml with the rules")
	f.StringVarP(&t.config, "config", "c", "", "configuration file of a broker: its seed has the rules, and it names the cluster")
	f.StringVar(&t.cluster, "cluster", "", "with --file: the cluster of the broker, whose own destinations mean log in here")
	f.StringArrayVar(&t.attributes, "attribute", nil, "NAME=VALUE of the user in the directory; again for each value")
	f.StringSliceVar(&t.assigned, "assigned", nil, "with --file: destination where a desktop is assigned to the user")
	return cmd
}

type redirectTest struct {
	node, user, directory string
	file, config, cluster string
	down, assigned        []string
	attributes            []string
}

func (t redirectTest) run(cmd *cobra.Command) error {
	offline := t.file != "" || t.config != ""
	switch {
	case offline == (t.node != ""), t.file != "" && t.config != "":
		return usagef(cmd, "give one of --node, --file and --config")
	case offline && t.user != "":
		return usagef(cmd, "--user needs a running broker, which can find him (--node); here give --attribute NAME=VALUE")
	case !offline && (len(t.attributes) > 0 || len(t.assigned) > 0 || t.cluster != ""):
		return usagef(cmd, "--attribute, --assigned and --cluster go with --file; a running broker asks the directory and the clusters")
	case t.config != "" && t.cluster != "":
		return usagef(cmd, "--cluster goes with --file; %s names the cluster itself", t.config)
	case offline:
		return t.offline(cmd)
	case t.user == "":
		return required(cmd, "user")
	}
	query := url.Values{"user": {t.user}, "directory": {t.directory}, "down": t.down}
	var x broker.RedirectReport
	if err := ask(cmd.Context(), t.node, http.MethodGet, "redirect/test?"+query.Encode(), nil, &x); err != nil {
		return err
	}
	return printLines(cmd.OutOrStdout(), x.Lines())
}
