package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"switchpoint/broker"
)

func desktopsCommand() *cobra.Command {
	return listGroup("desktops", "Desktops with their pools, states and users; maintenance", desktopsListCommand(),
		desktopShowCommand(), desktopPoolsCommand(), desktopMaintenanceCommand(), desktopReleaseCommand())
}

func desktopColumns() []column[broker.DesktopStatus] {
	return []column[broker.DesktopStatus]{
		{"name", "NAME", func(d broker.DesktopStatus) string { return d.Name }},
		{"pool", "POOL", func(d broker.DesktopStatus) string { return d.Pool }},
		{"center", "CENTER", func(d broker.DesktopStatus) string { return d.Center }},
		{"host", "HOST", func(d broker.DesktopStatus) string { return d.Host + ":" + strconv.Itoa(d.Port) }},
		{"protocol", "PROTOCOL", func(d broker.DesktopStatus) string { return d.Protocol }},
		{"state", "STATE", desktopState},
		{"user", "USER", func(d broker.DesktopStatus) string { return d.User.User }},
		{"directory", "DIRECTORY", func(d broker.DesktopStatus) string { return d.User.Directory }},
		{"why", "WHY", func(d broker.DesktopStatus) string { return d.Why }},
	}
}

// desktopState has what else keeps a desktop from being used.
func desktopState(d broker.DesktopStatus) string {
	switch {
	case !d.Vanished.IsZero():
		return d.State + ",vanished"
	case d.Reset != "":
		return d.State + "," + d.Reset
	}
	return d.State
}

func desktopsListCommand() *cobra.Command {
	var node, keys string
	flags := map[string]*string{"pool": new(string), "center": new(string), "state": new(string), "after": new(string), "limit": new(string)}
	cmd := &cobra.Command{
		Use:   "list --node STATE_DIR",
		Short: "Desktops by name",
		Long: `List desktops by name, those of the setup and those of centers. STATE is enabled, maintenance or
disabled (by its center), and says when a desktop has vanished from its center, is to be reset
(awaited) or did not report a clean reset (quarantined). USER works on it, or it is his own.

--columns takes, in the order wanted: ` + columnKeys(desktopColumns()),
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			columns, err := pickColumns(cmd, desktopColumns(), keys)
			if err != nil {
				return err
			}
			query := make(url.Values)
			for name, value := range flags {
				query.Set(name, *value)
			}
			var list []broker.DesktopStatus
			if err := ask(cmd.Context(), node, http.MethodGet, "desktops?"+query.Encode(), nil, &list); err != nil {
				return err
			}
			return printTable(cmd.OutOrStdout(), columns, list)
		},
	}
	addNodeFlag(cmd, &node)
	f := cmd.Flags()
	f.StringVar(&keys, "columns", "name,pool,center,host,state,user,why", "columns and their order")
	f.StringVar(flags["pool"], "pool", "", "only those in this pool")
	f.StringVar(flags["center"], "center", "", "only those of this center")
	f.StringVar(flags["state"], "state", "", "only those that are enabled, maintenance or disabled")
	f.StringVar(flags["after"], "after", "", "go on behind the desktop with this name, the last one of the list before")
	f.StringVar(flags["limit"], "limit", "", "at most so many (default 100, at most 1000)")
	return cmd
}

func desktopShowCommand() *cobra.Command {
	var node string
	cmd := &cobra.Command{
		Use:   "show NAME --node STATE_DIR",
		Short: "All that is known of one desktop",
		Args:  oneWord("name one desktop"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			var list []broker.DesktopStatus
			if err := ask(cmd.Context(), node, http.MethodGet, "desktops?"+url.Values{"name": args}.Encode(), nil, &list); err != nil {
				return err
			}
			if len(list) == 0 {
				return fmt.Errorf("there is no desktop %q", args[0])
			}
			var lines []string
			for _, c := range desktopColumns() {
				if text := c.text(list[0]); text != "" {
					lines = append(lines, fmt.Sprintf("%-10s %s", c.key, text))
				}
			}
			return printLines(cmd.OutOrStdout(), lines)
		},
	}
	addNodeFlag(cmd, &node)
	return cmd
}

func desktopPoolsCommand() *cobra.Command {
	var node string
	cmd := &cobra.Command{
		Use:   "pools --node STATE_DIR",
		Short: "How full each desktop pool is, and was at most within a day",
		Long: `Show how many desktops of each pool are used and free, by the newest run of the job "pool statistics",
which runs every five minutes, and how many were used at once at most within the last 24 hours.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			var list []broker.PoolUse
			if err := ask(cmd.Context(), node, http.MethodGet, "desktops/pools", nil, &list); err != nil {
				return err
			}
			number := func(n func(broker.PoolUse) int) func(broker.PoolUse) string {
				return func(u broker.PoolUse) string { return strconv.Itoa(n(u)) }
			}
			return printTable(cmd.OutOrStdout(), []column[broker.PoolUse]{
				{"pool", "POOL", func(u broker.PoolUse) string { return u.Now.Pool }},
				{"total", "DESKTOPS", number(func(u broker.PoolUse) int { return u.Now.Total })},
				{"used", "USED", number(func(u broker.PoolUse) int { return u.Now.Used })},
				{"free", "FREE", number(func(u broker.PoolUse) int { return u.Now.Free })},
				{"maintenance", "OUT OF USE", number(func(u broker.PoolUse) int { return u.Now.Maintenance })},
				{"most", "MOST USED", number(func(u broker.PoolUse) int { return u.Most })},
				{"at", "AT", func(u broker.PoolUse) string { return whenUTC(u.At) }},
				{"counted", "COUNTED", func(u broker.PoolUse) string { return u.Now.At.UTC().Format(time.TimeOnly) }},
			}, list)
		},
	}
	addNodeFlag(cmd, &node)
	return cmd
}

func desktopMaintenanceCommand() *cobra.Command {
	var node, why string
	cmd := &cobra.Command{
		Use:   "maintenance NAME --node STATE_DIR",
		Short: "Take a desktop of a center out of use",
		Long: `Take a desktop that a center has brought out of use, until "desktops release". No scan changes that.
Whoever works on it goes on; nobody is connected to it anew. Desktops of the setup say themselves what
their state is: only without the database, when no other setup can be applied, they are taken out of use
here, until the next one is.`,
		Args: oneWord("name one desktop"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return operate(cmd, node, "desktops/maintenance", url.Values{"name": args, "why": {why}})
		},
	}
	addNodeFlag(cmd, &node)
	cmd.Flags().StringVar(&why, "why", "", "the reason, for those who look at it later")
	return cmd
}

func desktopReleaseCommand() *cobra.Command {
	var node string
	cmd := &cobra.Command{
		Use:   "release NAME --node STATE_DIR",
		Short: "End a desktop's maintenance: it is again what its center says",
		Args:  oneWord("name one desktop"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return operate(cmd, node, "desktops/release", url.Values{"name": args})
		},
	}
	addNodeFlag(cmd, &node)
	return cmd
}
