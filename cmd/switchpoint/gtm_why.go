package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"switchpoint/gtm"
	"switchpoint/gtm/steer"
	"switchpoint/healthcheck"
)

// whyName tells of each pool of a name, or of one, why it is in or out: what decided, the facts of
// its members, the arithmetic of the threshold, the words of operators and what happened lately.
// found is false when the name has no pool there.
func whyName(n steer.NameStatus, cfg gtm.Name, doc *steer.Operator, datacenter string, now time.Time) (lines []string, found bool) {
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	add("%s", nameLine(n))
	add("settings: between %s, all_down %s, max_demotions %d a minute, min_datacenters %d", cfg.Between, cfg.AllDown, cfg.MaxDemotions, cfg.MinDatacenters)
	if n.Mode != "" {
		add("mode: %s%s", n.Mode, said(doc.ModeWhy))
	}
	for _, i := range n.Ignored {
		add("! not applied: %s", i)
	}
	for _, p := range n.Pools {
		if datacenter != "" && p.Datacenter != datacenter {
			continue
		}
		found = true
		lines = append(lines, whyPool(n, p, cfg, doc, now)...)
	}
	return lines, found
}

func whyPool(n steer.NameStatus, p steer.PoolStatus, cfg gtm.Name, doc *steer.Operator, now time.Time) []string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	add("")
	add("%s %s is %s for %s: %s", sign(p.In), p.Datacenter, inOut(p.In), age(p.Since, now), poolWhy(p))
	add("    decided by: %s", p.Rule)
	add("    serves:     %s", p.Serves)
	add("    threshold:  %s", threshold(p, cfg))
	if cfg.PreferNormal {
		add("    prefer:     prefer_normal: while all its members work without their database, its clients go to members in mode normal elsewhere, 5 %% every 15 s")
	}
	if cfg.FailbackDelay > 0 {
		add("    failback:   %s after it is well again", cfg.FailbackDelay)
	}
	switch {
	case p.Held:
		add("    hold:       manual_resume: it waits for `gtm release %s/%s`", n.Name, p.Datacenter)
	case cfg.ManualResume:
		add("    hold:       none; manual_resume would hold it after it went out")
	}
	for _, m := range p.Members {
		add("    %s %s is %s for %s: %s", sign(m.Serving), m.ID[strings.LastIndex(m.ID, "/")+1:], m.State, age(m.Since, now), memberFacts(m, now))
	}
	for _, v := range doc.Overrides {
		if concerns(v.Pattern, p) {
			add("    override:   %s %s %s, %s", v.Pattern, v.State, span(v, now), by(v.Note))
		}
	}
	for _, c := range p.Changes {
		add("    %s  %s: %s", moment(c.At), inOut(c.In), c.Why)
	}
	return lines
}

// threshold tells how many members are up and how many it takes.
func threshold(p steer.PoolStatus, cfg gtm.Name) string {
	up := 0
	for _, m := range p.Members {
		if m.State == healthcheck.Up || m.State == healthcheck.Overloaded || m.State == healthcheck.Unknown {
			up++
		}
	}
	need := max(1, int(math.Ceil(cfg.UpThresh*float64(len(p.Members)))))
	return fmt.Sprintf("%d of %d members are up (overloaded and unknown ones count), up_thresh %g wants %d", up, len(p.Members), cfg.UpThresh, need)
}

// concerns says whether a pattern names a pool or one of its members.
func concerns(pattern string, p steer.PoolStatus) bool {
	for _, m := range p.Members {
		if steer.Covers(pattern, m.ID) {
			return true
		}
	}
	return false
}
