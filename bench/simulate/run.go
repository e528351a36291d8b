package simulate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"switchpoint/bench/progress"
)

// Options says what is played. Zero values mean the defaults.
type Options struct {
	Scenarios []string      // of ScenarioIDs; default all
	Policies  []string      // of PolicyNames; default DefaultPolicies
	Seeds     int           // the seeds 1 to Seeds; default 20
	Length    time.Duration // measured, of virtual time, where the scenario leaves it open; default 100 s
	Delay     time.Duration // of the network, one way; default 200 us, negative: none
	Quick     bool          // 3 seeds, 20 s: does it still run?
	Progress  io.Writer     // nil: nobody watches
}

// The default seeds, length and delay, and those of a quick run.
const (
	defaultSeeds  = 20
	defaultLength = 100 * time.Second
	defaultDelay  = 200 * time.Microsecond
	quickSeeds    = 3
	quickLength   = 20 * time.Second
)

func (o Options) withDefaults() Options {
	if o.Quick {
		o.Seeds, o.Length = quickSeeds, quickLength
	}
	if o.Seeds == 0 {
		o.Seeds = defaultSeeds
	}
	if o.Length == 0 {
		o.Length = defaultLength
	}
	if o.Delay == 0 {
		o.Delay = defaultDelay
	}
	if len(o.Scenarios) == 0 {
		o.Scenarios = ScenarioIDs()
	}
	if len(o.Policies) == 0 {
		o.Policies = DefaultPolicies()
	}
	return o
}

// Validate says what cannot be played.
func (o Options) Validate() error {
	for _, id := range o.Scenarios {
		if !slices.Contains(ScenarioIDs(), id) {
			return fmt.Errorf("there is no scenario %q: take some of %s", id, strings.Join(ScenarioIDs(), ", "))
		}
	}
	for _, name := range o.Policies {
		if !slices.Contains(PolicyNames(), name) {
			return fmt.Errorf("there is no policy %q: take some of %s", name, strings.Join(PolicyNames(), ", "))
		}
	}
	if o.Seeds < 0 || o.Length < 0 {
		return errors.New("the number of seeds and the length cannot be negative")
	}
	if o.Length > maxLength {
		return fmt.Errorf("%s is too long: play at most %s", o.Length, maxLength)
	}
	return nil
}

// maxLength keeps a game in memory, also where a rule drives servers into endless queues.
const maxLength = time.Hour

// ScenarioIDs are the names by which scenarios can be asked for.
func ScenarioIDs() []string {
	var ids []string
	for _, s := range scenarios() {
		ids = append(ids, s.id)
	}
	return ids
}

// PolicyNames are all rules: the methods of lb, and the published ones.
func PolicyNames() []string {
	var names []string
	for _, r := range rules() {
		names = append(names, r.name)
	}
	return names
}

// DefaultPolicies are the published rules and the default method of lb.
func DefaultPolicies() []string {
	var names []string
	for _, r := range rules() {
		if !r.ours || r.name == ourMethod {
			names = append(names, r.name)
		}
	}
	return names
}

// game is one scenario under one rule, with all seeds.
type game struct {
	scenario scenario
	rule     ruleMaker
	runs     []figures
}

// Run plays everything that o asks for, on all cores.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	games := cast(o)
	count := &gameCount{bar: progress.New(o.Progress), all: len(games) * o.Seeds}
	defer count.bar.Clear()
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range games {
		for seed := range o.Seeds {
			g.Go(func() error {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				v := &games[i]
				length := o.Length
				if v.scenario.length > 0 && !o.Quick {
					length = v.scenario.length
				}
				v.runs[seed] = play(&v.scenario, v.rule, uint64(seed+1), length, max(0, o.Delay))
				count.done(v.scenario.name, v.rule.name)
				return nil
			})
		}
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return newReport(o, games), nil
}

// cast lists the games in the order of the report.
func cast(o Options) []game {
	var games []game
	for _, s := range scenarios() {
		if !slices.Contains(o.Scenarios, s.id) {
			continue
		}
		for _, r := range rules() {
			if slices.Contains(o.Policies, r.name) {
				games = append(games, game{scenario: s, rule: r, runs: make([]figures, o.Seeds)})
			}
		}
	}
	return games
}

// gameCount counts games for whoever looks on.
type gameCount struct {
	mu  sync.Mutex
	bar *progress.Bar
	n   int
	all int
}

func (p *gameCount) done(scenario, rule string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	p.bar.Step(scenario, p.n, p.all, rule)
}
