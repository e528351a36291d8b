package main

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"switchpoint/broker/outage"
	"switchpoint/broker/outage/hostcache"
	"switchpoint/broker/sqlite"
)

func outageCommand() *cobra.Command {
	status := outageStatusCommand()
	cmd := &cobra.Command{
		Use:   "outage",
		Short: "How a broker stands to its database, and whether it serves without it",
		Long:  status.Long,
		Args:  noArgs,
		RunE:  status.RunE,
	}
	cmd.Flags().AddFlagSet(status.Flags())
	cmd.AddCommand(status, outageForceCommand(), outageReleaseCommand())
	return cmd
}

func outageStatusCommand() *cobra.Command {
	var node string
	cmd := &cobra.Command{
		Use:   "status --node STATE_DIR",
		Short: "Mode, reason, and what there is to serve from",
		Long: `Show the mode of a broker (normal, hostcache, leased, recovering, draining), why it is in it, how its
database answers, what is still to be merged, and what it would serve from without the database.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			var s outage.Status
			if err := ask(cmd.Context(), node, http.MethodGet, "outage", nil, &s); err != nil {
				return err
			}
			return printLines(cmd.OutOrStdout(), outageLines(s, time.Now()))
		},
	}
	addNodeFlag(cmd, &node)
	return cmd
}

func outageLines(s outage.Status, now time.Time) []string {
	lines := []string{
		fmt.Sprintf("mode:        %s for %s", s.Mode, now.Sub(s.Since).Round(time.Second)),
		"reason:      " + s.Reason,
	}
	add := func(name, format string, args ...any) {
		lines = append(lines, fmt.Sprintf("%-12s ", name+":")+fmt.Sprintf(format, args...))
	}
	if s.Refuses != "" {
		add("refuses", "%s", s.Refuses)
	}
	if s.Failing.IsZero() {
		add("database", "answers (profile %s)", s.Profile)
	} else {
		add("database", "has not answered since %s: %s (profile %s)", whenUTC(s.Answered), s.Why, s.Profile)
	}
	if s.Peer != "" {
		add("peer", "the database does answer broker %s", s.Peer)
	}
	if s.Breaker {
		add("breaker", "open: nobody waits for the database")
	}
	if now.Before(s.Hold) {
		add("hold-down", "the outage lasts until %s UTC at least, for the database came and went", whenUTC(s.Hold))
	}
	if f := s.Force; f != nil {
		word := map[bool]string{true: "into", false: "out of"}[f.On]
		until := "until it is released"
		if !f.Until.IsZero() {
			until = "until " + whenUTC(f.Until) + " UTC"
		}
		add("forced", "%s the outage by %s, %s%s", word, f.By, until, reasonTail(f.Why))
	}
	add("to merge", "%d acts, %d set aside", s.Unmerged, s.Refused)
	for _, a := range s.Aside {
		add("set aside", "%s%s: %s", cmp.Or(a.Kind, "an act"), atUTC(a.At), a.Why)
	}
	if s.Handed > 0 || s.Taken > 0 {
		add("hand-over", "%d acts merged by other brokers, %d for others", s.Handed, s.Taken)
	}
	return append(append(lines, hostCacheLines(s.HostCache, now)...), leaseCopyLines(s.Leases, now)...)
}

func atUTC(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " of " + whenUTC(t) + " UTC"
}

func reasonTail(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

func outageForceCommand() *cobra.Command {
	var node, why, scope string
	var lasting time.Duration
	var off bool
	cmd := &cobra.Command{
		Use:   "force --node STATE_DIR",
		Short: "Serve from the host cache whatever the database does (or, with --off, never)",
		Long: `Put a broker, all brokers of its datacenter or its whole cluster into the outage: for a drill, for work
on the database, or while a network comes and goes. What is done meanwhile is merged afterwards. With
--off they stay out of it, even without a database. The word holds over restarts.

Brokers are told over the peer channel; who could not be is listed.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{"on": {strconv.FormatBool(!off)}, "why": {why}, "scope": {scope}}
			if cmd.Flags().Changed("for") {
				if lasting <= 0 {
					return usagef(cmd, "--for must be longer than 0; leave it out for a word without an end")
				}
				query.Set("for", lasting.String())
			}
			return changeOutage(cmd, node, "outage/force", query)
		},
	}
	addNodeFlag(cmd, &node)
	f := cmd.Flags()
	f.StringVar(&why, "reason", "", "why, shown wherever it has an effect")
	f.StringVar(&scope, "scope", scopeBroker, "broker, datacenter or cluster")
	f.DurationVar(&lasting, "for", 0, "how long (default: until released)")
	f.BoolVar(&off, "off", false, "stay out of the outage")
	return cmd
}

func outageReleaseCommand() *cobra.Command {
	var node, scope string
	cmd := &cobra.Command{
		Use:   "release --node STATE_DIR",
		Short: "Take back a word on the outage",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return changeOutage(cmd, node, "outage/release", url.Values{"scope": {scope}})
		},
	}
	addNodeFlag(cmd, &node)
	cmd.Flags().StringVar(&scope, "scope", scopeBroker, "broker, datacenter or cluster")
	return cmd
}

// changeOutage sends a word and prints who has it.
func changeOutage(cmd *cobra.Command, node, path string, query url.Values) error {
	if node == "" {
		return required(cmd, "node")
	}
	var out sharedChange
	if err := ask(cmd.Context(), node, http.MethodPost, path+"?"+query.Encode(), nil, &out); err != nil {
		return err
	}
	return out.print(cmd.OutOrStdout(), "asked", "they go by what they were told before")
}

func hostCacheCommand() *cobra.Command {
	status := hostCacheStatusCommand()
	cmd := &cobra.Command{
		Use:   "hostcache",
		Short: "The copy of the configuration that a broker serves from without its database",
		Long:  status.Long,
		Args:  noArgs,
		RunE:  status.RunE,
	}
	cmd.Flags().AddFlagSet(status.Flags())
	cmd.AddCommand(status, hostCacheQuarantineCommand(), hostCacheSyncCommand(), hostCacheRehearseCommand())
	return cmd
}

func hostCacheStatusCommand() *cobra.Command {
	var node string
	cmd := &cobra.Command{
		Use:   "status --node STATE_DIR",
		Short: "Whether it could serve now, how old it is, what it holds",
		Long: `Show whether the host cache could serve now, how old it is, what it holds, how many records it could
not take, and how its last synchronisation and rehearsal went.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			var s hostcache.Status
			if err := ask(cmd.Context(), node, http.MethodGet, "hostcache", nil, &s); err != nil {
				return err
			}
			return printLines(cmd.OutOrStdout(), hostCacheLines(s, time.Now()))
		},
	}
	addNodeFlag(cmd, &node)
	return cmd
}

func hostCacheLines(s hostcache.Status, now time.Time) []string {
	if s.File == "" {
		return []string{"host cache:  cannot serve: " + s.Why}
	}
	state := "can serve"
	switch {
	case s.Serving:
		state = "serves"
	case !s.Usable:
		state = "cannot serve: " + s.Why
	}
	lines := []string{
		fmt.Sprintf("host cache:  %s; current %s ago, copied %s ago", state, now.Sub(s.Current).Round(time.Second), now.Sub(s.Copied).Round(time.Second)),
		fmt.Sprintf("holds:       %d desktops, %d assignments, %d sessions, setup version %d", s.Rows["desktop"], s.Rows["assignment"], s.Rows["session"], s.Version.Setup),
		fmt.Sprintf("left out:    %d records", s.Quarantined),
	}
	if s.Result != "" {
		line := fmt.Sprintf("last sync:   %s, %s ago", s.Result, now.Sub(s.Checked).Round(time.Second))
		lines = append(lines, line+reasonTail(s.Error))
	}
	if r := s.Rehearsal; !r.At.IsZero() {
		lines = append(lines, fmt.Sprintf("rehearsal:   %s ago, %s", now.Sub(r.At).Round(time.Second), rehearsed(r)))
	}
	return lines
}

func rehearsed(r hostcache.Rehearsal) string {
	if r.Behind {
		return "the database had changed since the copy, so nothing was compared"
	}
	return fmt.Sprintf("%d shadow logins, %d different", r.Users, r.Different)
}

func hostCacheQuarantineCommand() *cobra.Command {
	var node string
	cmd := &cobra.Command{
		Use:   "quarantine --node STATE_DIR",
		Short: "Records that it could not take, and why",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			var list []sqlite.CacheRecord
			if err := ask(cmd.Context(), node, http.MethodGet, "hostcache/quarantine", nil, &list); err != nil {
				return err
			}
			return printTable(cmd.OutOrStdout(), []column[sqlite.CacheRecord]{
				{"what", "WHAT", func(r sqlite.CacheRecord) string { return r.What }},
				{"key", "KEY", func(r sqlite.CacheRecord) string { return r.Key }},
				{"why", "WHY", func(r sqlite.CacheRecord) string { return r.Why }},
			}, list)
		},
	}
	addNodeFlag(cmd, &node)
	return cmd
}

func hostCacheSyncCommand() *cobra.Command {
	var node string
	cmd := &cobra.Command{
		Use:   "sync --node STATE_DIR",
		Short: "Look for changes now",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			var out hostcache.Synced
			if err := ask(cmd.Context(), node, http.MethodPost, "hostcache/sync", nil, &out); err != nil {
				return err
			}
			return printLines(cmd.OutOrStdout(), []string{fmt.Sprintf("%s in %s: setup version %d, %d records left out", out.Result, out.Took.Round(time.Millisecond), out.Version.Setup, out.Quarantined)})
		},
	}
	addNodeFlag(cmd, &node)
	return cmd
}

func hostCacheRehearseCommand() *cobra.Command {
	var node string
	var sample int
	cmd := &cobra.Command{
		Use:   "rehearse --node STATE_DIR",
		Short: "Sign in as some users in the copy, and compare with the database",
		Long: `Check the file from end to end, perform shadow logins of some users in it and in the database, and
compare what they are offered and where that leads. Nothing is written. Exit code 1 if anything differs.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if node == "" {
				return required(cmd, "node")
			}
			var r hostcache.Rehearsal
			if err := ask(cmd.Context(), node, http.MethodPost, "hostcache/rehearse?sample="+strconv.Itoa(sample), nil, &r); err != nil {
				return err
			}
			if err := printLines(cmd.OutOrStdout(), append([]string{rehearsed(r)}, r.Differences...)); err != nil {
				return err
			}
			if r.Different > 0 {
				return fmt.Errorf("the host cache differs from the database for %d users; it is copied anew with the next synchronisation", r.Different)
			}
			return nil
		},
	}
	addNodeFlag(cmd, &node)
	cmd.Flags().IntVar(&sample, "sample", 50, "users of each kind: signed in, and with a desktop of their own")
	return cmd
}
