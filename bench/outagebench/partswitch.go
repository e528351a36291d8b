package outagebench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"switchpoint/bench/logins"
	"switchpoint/bench/quantile"
	"switchpoint/broker"
	"switchpoint/broker/outage"
	"switchpoint/broker/outage/hostcache"
	"switchpoint/broker/outage/mode"
)

// pace is how long each piece of a switch is.
type pace struct {
	lead time.Duration // logins before the database vanishes
	away time.Duration // without it, after the mode has changed
	tail time.Duration // after all is normal again
	told bool          // the broker is told to go on with its database, which it else waits for to be stable
}

func (r *run) pace() pace {
	if r.o.Quick {
		return pace{lead: time.Second, away: time.Second, tail: time.Second, told: true}
	}
	return pace{lead: 8 * time.Second, away: 8 * time.Second, tail: 5 * time.Second}
}

// Bounds of what a switch may take beside its own times.
const (
	maxNormal  = 2 * time.Minute // until a database counts as stable and all is merged
	switchRoom = 5 * time.Second // above the limit, so that a limit that is missed is a figure
)

func limitOf(profile string) float64 {
	if profile == broker.OutageCitrix {
		return maxCitrix
	}
	return maxFast
}

// switches lets the database vanish in each way, under each profile.
func (r *run) switches(ctx context.Context) error {
	for _, profile := range r.o.Profiles {
		var of []*Switch
		for _, name := range wayNames(r.o.Quick) {
			s, err := r.oneSwitch(ctx, profile, name)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", profile, name, err)
			}
			r.report.Switches = append(r.report.Switches, *s)
			of = append(of, s)
		}
		r.report.addSwitches(profile, of)
	}
	return nil
}

// addSwitches adds the rows of a profile: of all ways the worst.
func (r *Report) addSwitches(profile string, of []*Switch) {
	var modes, pages, waits, merges []float64
	lost, down, looks, offered := 0, 0, 0, 0
	for _, s := range of {
		m, p := s.switched()
		modes, pages, waits = append(modes, m), append(pages, p), append(waits, s.Between-s.Before)
		lost, down, looks, offered = lost+s.lost(), down+s.Down, looks+s.Alive, offered+s.Offered
		if s.Merges > 0 {
			merges = append(merges, s.Normal-s.Merges)
		}
	}
	limit := limitOf(profile)
	name := profile + ": "
	r.add(
		note(atMost(row(name+"the broker's mode says that the database is gone", "s", worst(modes)), limit), "the slowest of %d ways to vanish", len(of)),
		atMost(row(name+"is_alive says so", "s", worst(pages)), limit),
		note(atMost(row(name+"logins that got no offers", "logins", float64(lost)), 0), "of %d; %s", offered, errorsOf(of)),
		atMost(row(name+"is_alive answered with anything but 200", "looks", float64(down)), 0),
		note(atMost(row(name+"slowest login until then, above the slowest before", "ms", worst(waits)), maxWait), "a call waits for the database for a second at most"))
	if len(merges) > 0 {
		r.add(row(name+"merging, while users sign in", "s", worst(merges)))
	}
}

// worst is the largest; what did not come at all is no number.
func worst(values []float64) float64 {
	for _, v := range values {
		if math.IsNaN(v) {
			return v
		}
	}
	return quantile.Of(values, 1)
}

func errorsOf(of []*Switch) string {
	text := ""
	for _, s := range of {
		for why, n := range s.Errors {
			text += fmt.Sprintf("; %s: %d %s", s.Way, n, why)
		}
	}
	if text == "" {
		return "every one was answered"
	}
	return text[2:]
}

// oneSwitch is one chain, one way, there and back.
func (r *run) oneSwitch(ctx context.Context, profile, name string) (*Switch, error) {
	w, err := newWay(name, r.site.Database())
	if err != nil {
		return nil, err
	}
	defer w.close()
	chain, err := r.site.Start(ctx, w.plan(r.hostCached(profile)))
	if err != nil {
		return nil, err
	}
	defer chain.Close()
	if err := r.cached(ctx, chain); err != nil {
		return nil, err
	}
	t := &trial{chain: chain, way: w, pace: r.pace(), within: time.Duration(limitOf(profile)*float64(time.Second)) + switchRoom}
	if t.watcher, err = watch(ctx, chain); err != nil {
		return nil, err
	}
	defer t.watcher.stop()
	load := logins.Load{Rate: r.o.Rate, For: t.length(), Away: true}
	var played error
	seen, err := chain.Sign(ctx, fmt.Sprintf("%s, %s", profile, name), load, func() { played = t.play(ctx) })
	if err := errors.Join(played, err); err != nil {
		return nil, err
	}
	t.watcher.stop()
	r.site.Keep(seen)
	s := t.tell(seen)
	s.Profile, s.Way = profile, name
	return s, nil
}

// cached warms a chain up and has its host cache brought up to date.
func (r *run) cached(ctx context.Context, chain *logins.Chain) error {
	if err := chain.Warm(ctx); err != nil {
		return err
	}
	return r.synced(ctx, chain)
}

func (r *run) synced(ctx context.Context, chain *logins.Chain) error {
	r.site.Bar().Say("synchronising the host cache")
	var out hostcache.Synced
	if err := chain.Ask(ctx, http.MethodPost, "hostcache/sync", &out); err != nil {
		return fmt.Errorf("synchronise the host cache: %w", err)
	}
	return nil
}

// trial is one vanishing under way.
type trial struct {
	chain   *logins.Chain
	way     *way
	pace    pace
	within  time.Duration // for the mode to change
	watcher *watcher

	gone, back time.Time
}

// length is how long users have to sign in for all of it, at most.
func (t *trial) length() time.Duration {
	return (t.pace.lead + t.within + t.pace.away + maxNormal + t.pace.tail + 2*switchRoom).Truncate(time.Second)
}

// play has the database vanish and come back.
func (t *trial) play(ctx context.Context) error {
	sleep(ctx, t.pace.lead)
	t.gone = time.Now()
	if err := t.way.gone(); err != nil {
		return err
	}
	switched := t.watcher.until(ctx, mode.HostCache, t.gone, t.within)
	if switched == nil {
		sleep(ctx, t.pace.away)
	}
	// It comes back in any case: the next one needs it.
	if err := errors.Join(t.way.back(ctx), switched); err != nil {
		return err
	}
	t.back = time.Now()
	if t.pace.told {
		if err := endOutage(ctx, t.chain); err != nil {
			return err
		}
	}
	if err := t.watcher.settled(ctx, maxNormal); err != nil {
		return err
	}
	sleep(ctx, t.pace.tail)
	return nil
}

// endOutage tells a broker to go on with its database as soon as that answers. Told before, it would refuse
// whoever signs in meanwhile.
func endOutage(ctx context.Context, c *logins.Chain) error {
	for began := time.Now(); sleep(ctx, lookEvery); {
		var s outage.Status
		if err := c.Ask(ctx, http.MethodGet, "outage", &s); err != nil {
			return err
		}
		if s.Failing.IsZero() {
			return c.Ask(ctx, http.MethodPost, "outage/force?on=false&by=bench&why=the+benchmark+does+not+wait", nil)
		}
		if time.Since(began) > maxNormal {
			return fmt.Errorf("the database is back, and the broker does not find it: %s", s.Why)
		}
	}
	return ctx.Err()
}
