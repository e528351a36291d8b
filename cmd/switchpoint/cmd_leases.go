package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"switchpoint/broker"
	"switchpoint/broker/outage"
)

func leasesCommand() *cobra.Command {
	return listGroup("leases", "Results of connects that count without the database", leasesListCommand(),
		leasesShowCommand(), leasesRemoveCommand(), leasesRefreshCommand(), leasesSettingsCommand())
}

func leaseColumns() []column[leaseLine] {
	return []column[leaseLine]{
		{"kind", "KIND", func(l leaseLine) string { return l.Kind }},
		{"user", "USER", func(l leaseLine) string { return l.User }},
		{"directory", "DIRECTORY", func(l leaseLine) string { return l.Directory }},
		{"desktop", "DESKTOP", func(l leaseLine) string { return strings.Join(leaseDesktops(l), ",") }},
		{"client", "CLIENT", func(l leaseLine) string { return l.Client }},
		{"state", "STATE", func(l leaseLine) string { return l.State }},
		{"left", "LEFT", func(l leaseLine) string { return l.Left }},
		{"recorded", "RECORDED", func(l leaseLine) string { return whenUTC(l.Recorded) }},
		{"expires", "EXPIRES", func(l leaseLine) string { return whenUTC(l.Expires) }},
		{"removed", "REMOVED", func(l leaseLine) string { return whenUTC(l.Removed) }},
		{"pools", "POOLS", func(l leaseLine) string { return strings.Join(l.Pools, ",") }},
	}
}

func leaseDesktops(l leaseLine) []string {
	var names []string
	for _, d := range l.Desktops {
		names = append(names, d.Name)
	}
	return names
}

const defaultLeaseColumns = "kind,user,directory,desktop,client,state,left,expires"

// leaseFlags are those by which leases are picked.
type leaseFlags struct{ user, directory, kind, desktop, client string }

func (f *leaseFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.user, "user", "", "only those of this user")
	flags.StringVar(&f.directory, "directory", "", `only those of users of this directory ("local": of [[user]] entries)`)
	flags.StringVar(&f.kind, "kind", "", "only "+broker.LeaseEnumeration+" or "+broker.LeaseLaunch+" leases")
	flags.StringVar(&f.desktop, "desktop", "", "only those of the desktop with this name or id")
	flags.StringVar(&f.client, "client", "", "only those that count for this client device alone")
}

func (f *leaseFlags) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"user": f.user, "directory": f.directory, "kind": f.kind, "desktop": f.desktop, "client": f.client} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

func leasesListCommand() *cobra.Command {
	var node, keys string
	var flags leaseFlags
	var removed, local, asJSON bool
	var limit int
	cmd := &cobra.Command{
		Use:   "list --node STATE_DIR",
		Short: "Leases by user",
		Long: `List the leases of the cluster. A connect to a desktop of the user's own leaves two: a launch lease says
where that desktop is, the enumeration lease what he may see. While the database is away and the host
cache cannot serve, brokers serve by them until they expire. Pooled desktops have none.

With --local the list is that of the copies which the broker behind --node would serve from. That also
works while the database is away.

--columns takes, in the order wanted: ` + columnKeys(leaseColumns()),
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			columns, err := pickColumns(cmd, leaseColumns(), keys)
			if err != nil {
				return err
			}
			query := flags.query()
			query.Set("limit", strconv.Itoa(limit))
			if removed {
				query.Set("removed", "1")
			}
			lines, err := askLeases(cmd, node, local, query)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd, lines)
			}
			return printTable(cmd.OutOrStdout(), columns, lines)
		},
	}
	addNodeFlag(cmd, &node)
	flags.add(cmd)
	f := cmd.Flags()
	f.BoolVar(&removed, "removed", false, "those that are marked for deletion, too")
	f.BoolVar(&local, "local", false, "the copies of this broker")
	f.IntVar(&limit, "limit", 1000, "at most so many")
	f.StringVar(&keys, "columns", defaultLeaseColumns, "columns and their order")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// askLeases asks for the leases of the database, or for the copies of the broker.
func askLeases(cmd *cobra.Command, node string, local bool, query url.Values) ([]leaseLine, error) {
	path := "leases"
	if local {
		path = "leases/local"
	}
	var lines []leaseLine
	err := ask(cmd.Context(), node, http.MethodGet, path+"?"+query.Encode(), nil, &lines)
	return lines, err
}

func printJSON(cmd *cobra.Command, v any) error {
	e := json.NewEncoder(cmd.OutOrStdout())
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func leasesShowCommand() *cobra.Command {
	var node, directory string
	var local bool
	cmd := &cobra.Command{
		Use:   "show USER --node STATE_DIR",
		Short: "All that the leases of a user say",
		Long:  `Show the leases of a user, removed and expired ones too, with all that is needed to connect to his desktops.`,
		Args:  oneWord("name one USER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			f := leaseFlags{user: args[0], directory: directory}
			query := f.query()
			query.Set("removed", "1")
			lines, err := askLeases(cmd, node, local, query)
			if err != nil {
				return err
			}
			if len(lines) == 0 {
				return fmt.Errorf("there is no lease of user %q", args[0])
			}
			var out []string
			for _, l := range lines {
				out = append(out, leaseText(l)...)
			}
			return printLines(cmd.OutOrStdout(), out)
		},
	}
	addNodeFlag(cmd, &node)
	cmd.Flags().StringVar(&directory, "directory", "", "the directory of the user, where two have one of that name")
	cmd.Flags().BoolVar(&local, "local", false, "the copies of this broker")
	return cmd
}

// leaseText tells a lease in lines.
func leaseText(l leaseLine) []string {
	state := l.State
	switch l.State {
	case leaseUsable:
		state = "usable for " + l.Left
	case leaseRemoved:
		state = "removed " + whenUTC(l.Removed)
	}
	lines := []string{fmt.Sprintf("%s of %s (%s): %s", l.Kind, l.User, l.Directory, state)}
	add := func(name, text string) {
		if text != "" {
			lines = append(lines, fmt.Sprintf("  %-9s %s", name+":", text))
		}
	}
	add("recorded", whenUTC(l.Recorded))
	add("expires", whenUTC(l.Expires))
	add("client", l.Client)
	add("pools", strings.Join(l.Pools, ", "))
	for _, d := range l.Desktops {
		where := fmt.Sprintf("%s, %s to %s:%d, %s", d.Name, d.Protocol, d.Host, d.Port, d.State)
		if d.Pool != "" {
			where += ", pool " + d.Pool
		}
		add("desktop", where)
	}
	return lines
}

// leaseCopyLines says how the copies of a broker stand.
func leaseCopyLines(s outage.LeaseStatus, now time.Time) []string {
	state := "can serve"
	switch {
	case s.Serving:
		state = "serve"
	case !s.Usable:
		state = "cannot serve: " + s.Why
	}
	if s.Synced.IsZero() {
		return []string{"leases:      " + state}
	}
	line := fmt.Sprintf("leases:      %s; %d held, copied %s ago", state, s.Held, now.Sub(s.Synced).Round(time.Second))
	if s.Unreadable > 0 {
		line += fmt.Sprintf(", %d unreadable", s.Unreadable)
	}
	lines := []string{line}
	if s.Error != "" {
		lines = append(lines, fmt.Sprintf("last copy:   failed %s ago: %s", now.Sub(s.Tried).Round(time.Second), s.Error))
	}
	return lines
}
