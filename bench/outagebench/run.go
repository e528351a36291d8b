package outagebench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"switchpoint/bench/logins"
	"switchpoint/broker"
)

// run is one benchmark under way.
type run struct {
	o      Options
	site   *logins.Site
	report *Report
}

// Run starts everything, measures the parts, and removes everything again. With an error that is of some
// parts there is a report of the others.
func Run(ctx context.Context, o Options) (report *Report, err error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o, err = o.withDefaults(); err != nil {
		return nil, err
	}
	r := &run{o: o}
	settled := logins.Options{Users: o.Users, Hold: o.Hold, Probe: o.Probe, Logs: o.Logs, Progress: o.Progress, Quick: o.Quick, Self: o.Self}
	if r.site, err = logins.NewSite(ctx, settled); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.site.Close()) }()
	r.report = &Report{Report: r.site.Report()}
	r.report.Settings = append(r.report.Settings, r.settings()...)
	for _, part := range []struct {
		name    string
		measure func(context.Context) error
	}{{partLogins, r.logins}, {partSwitch, r.switches}, {partSync, r.sync}} {
		if !slices.Contains(o.Parts, part.name) {
			continue
		}
		// A part that fails leaves the figures of the others.
		if failed := part.measure(ctx); failed != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", part.name, failed))
		}
		if ctx.Err() != nil {
			return nil, err
		}
	}
	return r.report, err
}

func (r *run) settings() []string {
	return []string{
		fmt.Sprintf("logins: kept connections through gtm and lb to one broker, the rate is held for %s", r.o.Hold),
		fmt.Sprintf("switch: %s logins/s on new TLS connections, each due at its time", number(r.o.Rate)),
		fmt.Sprintf("sync: %s users signed in, %s desktops, half of them assigned, %d copies, each by a process of its own (GOGC=400, as a broker has it)",
			thousands(r.o.Signed), thousands(r.o.Desktops), r.o.Rounds),
	}
}

// section is [broker.outage] of a broker's configuration.
func section(mode, profile string, every time.Duration) string {
	return fmt.Sprintf("mode = %q\nprofile = %q\ncache_every = %q\n", mode, profile, every)
}

// hostCached is a plan of a chain that goes on from its host cache.
func (r *run) hostCached(profile string) logins.Plan {
	return logins.Plan{Desktops: pooled, Owned: min(r.o.Users/2, maxOwned), Outage: section(broker.OutageHostCache, profile, 2*time.Minute)}
}

const (
	pooled   = 2000   // desktops of a chain's pool
	maxOwned = 10_000 // users with a desktop of their own
)
