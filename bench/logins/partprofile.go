package logins

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"switchpoint/bench/progress"
)

// ProfileOptions say which product is measured, and where.
type ProfileOptions struct {
	Profile string // file, or name of one that comes with the program
	URL     string // where the product is
	People  string // CSV file: name,password
	CA      string // PEM file; empty: the system's roots
	Vars    map[string]string
}

// Validate says what is missing.
func (p ProfileOptions) Validate() error {
	u, err := url.Parse(p.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("--url %q is no http(s) URL", p.URL)
	case p.People == "":
		return errors.New("--people is missing: a CSV file of name,password")
	}
	profile, err := LoadProfile(p.Profile)
	if err != nil {
		return err
	}
	for name := range p.Vars {
		if _, ok := profile.Vars[name]; !ok {
			return fmt.Errorf("the profile %s has no variable %s", profile.Name, name)
		}
	}
	return nil
}

// profileStart is the first rate of the search: products differ by orders of magnitude.
const profileStart = 4

// RunProfile plays the clients of a product against it: the highest rate that it sustains, or the one
// that is asked for.
func RunProfile(ctx context.Context, o Options, p ProfileOptions) (*Report, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	profile, err := LoadProfile(p.Profile)
	if err != nil {
		return nil, err
	}
	dir, remove, err := folder()
	if err != nil {
		return nil, err
	}
	defer remove()
	r := &run{o: o, bar: progress.New(o.Progress), report: newReport(), seed: 1, stage: &stage{dir: dir, self: o.Self}}
	defer r.bar.Clear()
	r.report.Versions["switchpoint"] = version(ctx, o.Self)
	r.report.Settings = []string{
		fmt.Sprintf("profile %s at %s, steps: %s", profile.Name, p.URL, strings.Join(profile.names(), ", ")),
		"the clients run on this machine, each on connections of its own; its processes are not metered",
	}
	vars := map[string]string{"url": strings.TrimSuffix(p.URL, "/")}
	for name, value := range p.Vars {
		vars[name] = value
	}
	t := task{Role: roleSteps, Profile: profile, People: p.People, CA: p.CA, Vars: vars}
	rate := o.Rate
	if rate == 0 {
		if rate, err = r.find(ctx, profile.Name, t, nil, profileStart); err != nil {
			return nil, err
		}
		rate *= holdPart
	}
	v, err := r.hold(ctx, profile.Name, nil, t, rate)
	if err != nil {
		return nil, err
	}
	done := row("logins of profile "+profile.Name, "logins/s", v.rate()).note("%s offered for %s; %d failed; whole journeys p50 %s, p99 %s ms",
		number(v.Rate), v.Took.Round(time.Second), v.Failed, number(v.Journey.P50), number(v.Journey.P99))
	for why, n := range v.Errors {
		r.report.noteOnce("%d failed: %s", n, why)
	}
	r.report.add(done, row("up to step "+profile.Login+", p50", "ms", v.Login.P50), row("up to step "+profile.Login+", p99", "ms", v.Login.P99),
		row("one broker of the original", "logins/s", originalRate).note("published 2018, other hardware"))
	return r.report, nil
}

func (p *Profile) names() []string {
	var out []string
	for _, s := range p.Steps {
		out = append(out, s.Name)
	}
	return out
}
