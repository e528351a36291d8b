package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"switchpoint/broker"
)

func clusterCommand() *cobra.Command {
	return listGroup("cluster", "The brokers that share one database", clusterListCommand(),
		clusterStatusCommand(), clusterRemoveCommand(), clusterLeaveCommand())
}

// clusterColumns are those of Cluster Management.
func clusterColumns() []column[clusterLine] {
	return []column[clusterLine]{
		{"actions", "ACTIONS", func(l clusterLine) string { return strings.Join(l.Actions, ",") }},
		{"name", "NAME", func(l clusterLine) string { return l.Name }},
		{"ip", "IP ADDRESS", func(l clusterLine) string { return l.IP }},
		{"status", "STATUS", func(l clusterLine) string { return string(l.Status) }},
		{"version", "VERSION", func(l clusterLine) string { return l.Version }},
		{"site_id", "SITE ID", func(l clusterLine) string { return strconv.Itoa(l.SiteID) }},
		{"uuid", "UUID", func(l clusterLine) string { return l.UUID }},
		{"mac", "MAC", func(l clusterLine) string { return l.MAC }},
		{"booted", "BOOTED", func(l clusterLine) string { return whenUTC(l.Booted) }},
		{"last_heartbeat", "LAST HEARTBEAT", func(l clusterLine) string { return whenUTC(l.LastHeartbeat) }},
		{"next_heartbeat", "NEXT HEARTBEAT", func(l clusterLine) string { return whenUTC(l.NextHeartbeat) }},
		{"missed", "MISSED", func(l clusterLine) string { return strconv.Itoa(l.Missed) }},
		{"live", "LIVE", func(l clusterLine) string { return yesNo(l.Live) }},
		{"datacenter", "DATACENTER", func(l clusterLine) string { return l.Datacenter }},
		{"config", "CONFIG", func(l clusterLine) string { return l.Config }},
		{"differs", "DIFFERS IN", func(l clusterLine) string { return strings.Join(l.Differs, ",") }},
		{"load", "LOAD", func(l clusterLine) string { return ofHost(l, "%.2f/%d", l.Load.Average, l.Load.CPUs) }},
		{"busy", "BUSY", func(l clusterLine) string { return ofHost(l, "%.0f%%", 100*l.Load.Busy) }},
		{"steal", "STEAL", func(l clusterLine) string { return ofHost(l, "%.0f%%", 100*l.Load.Steal) }},
		{"carries", "CARRIES", func(l clusterLine) string { return perSecond(l.Carries) }},
		{"clock", "CLOCK", func(l clusterLine) string { return l.ClockOff }},
		{"host", "HOST", func(l clusterLine) string { return l.Host }},
		{"reason", "REASON", func(l clusterLine) string { return l.Reason }},
		{"report", "REPORT", func(l clusterLine) string { return l.Report }},
	}
}

const defaultClusterColumns = "name,ip,status,live,version,site_id,booted,last_heartbeat,next_heartbeat,load,steal,clock,actions,config,differs"

func clusterListCommand() *cobra.Command {
	var node, keys string
	cmd := &cobra.Command{
		Use:   "list --node STATE_DIR",
		Short: "All brokers with status, version, heartbeats and what differs",
		Long: `List the brokers of the cluster, as any of them knows it from the database.

STATUS is about the job queue: running, stopped (its heartbeat job was cancelled) or unavailable
(three heartbeats missed). LIVE says whether the process was heard of within 6 s. CONFIG identifies
the settings that all brokers must share; DIFFERS IN names those in which a broker stands apart.
LOAD is the load average of the whole host beside its processors, BUSY the share of their time that was
used in the last minute, STEAL what the hypervisor gave to other guests. CARRIES is how many logins a
second the broker could answer, by what they cost when there were enough. CLOCK shows by how much a broker's
clock is wrong. HOST tells hosts apart.

--columns takes, in the order wanted: ` + columnKeys(clusterColumns()),
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			columns, err := pickColumns(cmd, clusterColumns(), keys)
			if err != nil {
				return err
			}
			var lines []clusterLine
			if err := ask(cmd.Context(), node, http.MethodGet, "cluster", nil, &lines); err != nil {
				return err
			}
			return printTable(cmd.OutOrStdout(), columns, lines)
		},
	}
	addNodeFlag(cmd, &node)
	cmd.Flags().StringVar(&keys, "columns", defaultClusterColumns, "columns and their order")
	return cmd
}

// ofHost is empty where a broker does not say how busy its host is, or says nothing any more.
func ofHost(l clusterLine, format string, args ...any) string {
	if l.Load.CPUs == 0 || !l.Live {
		return ""
	}
	return fmt.Sprintf(format, args...)
}

func perSecond(rate float64) string {
	if rate == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f/s", rate)
}

func clusterStatusCommand() *cobra.Command {
	var node string
	cmd := &cobra.Command{
		Use:   "status --node STATE_DIR",
		Short: "Availability, disaster recovery and capacity, each with its reasons",
		Long: `Say how the cluster stands to its three goals, which hold or fail apart from each other.

Availability: a host fails, and brokers on others go on. Disaster Recovery: a data centre goes, and
users log in elsewhere. Capacity: the brokers carry the logins of the busiest hour of the last 7 days
with their strongest host down. Each is met, at risk, not met or not measured.

What a broker carries is worked out from the CPU time and the time that its own logins took; database
and directory, which all brokers share, may end earlier. Brokers in guests of one hypervisor look like
brokers on hosts of their own.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			var goals []broker.Goal
			if err := ask(cmd.Context(), node, http.MethodGet, "cluster/status", nil, &goals); err != nil {
				return err
			}
			return printLines(cmd.OutOrStdout(), goalLines(goals))
		},
	}
	addNodeFlag(cmd, &node)
	return cmd
}

// goalLines has a line for each goal and one for each of its reasons.
func goalLines(goals []broker.Goal) []string {
	var lines []string
	for _, g := range goals {
		lines = append(lines, g.Name+": "+string(g.State))
		for _, r := range g.Reasons {
			lines = append(lines, "  "+r)
		}
	}
	return lines
}

func clusterRemoveCommand() *cobra.Command {
	var node string
	cmd := &cobra.Command{
		Use:   "remove SITE --node STATE_DIR",
		Short: "Take a stopped or unavailable broker out of the cluster",
		Long: `Take a broker that is stopped or unavailable out of the cluster. Its pending jobs go to the other
brokers, and its site id is free. Should it live after all, it joins again by itself.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef(cmd, "give one SITE, the number that `cluster list` shows as SITE ID")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return operate(cmd, node, "cluster/remove", url.Values{"site": {args[0]}})
		},
	}
	addNodeFlag(cmd, &node)
	return cmd
}

func clusterLeaveCommand() *cobra.Command {
	var node string
	cmd := &cobra.Command{
		Use:   "leave --node STATE_DIR",
		Short: "Take this broker out of the cluster, before it gets another database",
		Long: `Take the broker of this node out of the cluster. It serves nobody any more; its ended jobs vanish
from the queue, its pending ones stay its own. It stays listed until another broker removes it, which
is possible after three missed heartbeats. Started again with the same database, it joins again.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return operate(cmd, node, "cluster/leave", url.Values{})
		},
	}
	addNodeFlag(cmd, &node)
	return cmd
}

// operate does one act of an operator and prints what the node says to it.
func operate(cmd *cobra.Command, node, path string, query url.Values) error {
	if node == "" {
		return required(cmd, "node")
	}
	query.Set("by", currentUser())
	var out explanation
	if err := ask(cmd.Context(), node, http.MethodPost, path+"?"+query.Encode(), nil, &out); err != nil {
		return err
	}
	return printLines(cmd.OutOrStdout(), out.Lines)
}

// whenUTC is a time of the database for a table; zero has none.
func whenUTC(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}
