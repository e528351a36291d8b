package outagebench

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"switchpoint/broker"
)

// Parts of the benchmark.
const (
	partLogins = "logins"
	partSwitch = "switch"
	partSync   = "sync"
)

// Parts lists them all.
func Parts() []string { return []string{partLogins, partSwitch, partSync} }

// Limits that hold on two cores.
const (
	minLogins   = 1000 // a second, of one broker without its database
	maxFast     = 3    // seconds until the mode says that the database is gone, profile fast
	maxCitrix   = 41   // the same, profile citrix
	maxWait     = 1000 // ms that the database costs a login, above the slowest before it went
	maxSync     = 5    // seconds
	maxSyncRise = 300  // MB
)

// Options says what is measured. Zero values mean the defaults.
type Options struct {
	Parts    []string      // default Parts()
	Profiles []string      // of the part switch; default fast and citrix
	Users    int           // in the directory; default 20,000
	Leased   int           // of them with a lease; default 5,000
	Hold     time.Duration // of the runs at the highest rate; default 30 s
	Probe    time.Duration // of one step of the search; default 3 s
	Rate     float64       // logins/s while the database vanishes; default 100

	// What the large cluster has.
	Signed   int // users who are signed in; default 100,000
	Desktops int // default 50,000, half of them assigned
	Rounds   int // copies of it; default 5

	Logs     string    // folder for the logs of all processes; empty: none are kept
	Quick    bool      // a run of some seconds whose figures mean nothing
	Progress io.Writer // nil: nobody watches
	Self     string    // the program whose processes are started; default: this one
}

func (o Options) withDefaults() (Options, error) {
	if o.Quick {
		o.Users, o.Leased, o.Hold, o.Rate, o.Signed, o.Desktops, o.Rounds = 200, 100, time.Second, 10, 400, 200, 1
		o.Profiles = []string{broker.OutageFast}
	}
	if len(o.Parts) == 0 {
		o.Parts = Parts()
	}
	if len(o.Profiles) == 0 {
		o.Profiles = []string{broker.OutageFast, broker.OutageCitrix}
	}
	o.Users = cmp.Or(o.Users, 20_000)
	o.Leased = min(cmp.Or(o.Leased, 5000), o.Users)
	o.Hold = cmp.Or(o.Hold, 30*time.Second)
	o.Probe = cmp.Or(o.Probe, 3*time.Second)
	o.Rate = cmp.Or(o.Rate, 100)
	o.Signed = cmp.Or(o.Signed, 100_000)
	o.Desktops = cmp.Or(o.Desktops, 50_000)
	o.Rounds = cmp.Or(o.Rounds, 5)
	if o.Self == "" {
		var err error
		if o.Self, err = os.Executable(); err != nil {
			return o, fmt.Errorf("find the own binary: %w", err)
		}
	}
	return o, nil
}

// Validate says what cannot be run.
func (o Options) Validate() error {
	for what, list := range map[string][2][]string{
		"part":           {o.Parts, Parts()},
		"outage profile": {o.Profiles, {broker.OutageFast, broker.OutageCitrix}},
	} {
		for _, name := range list[0] {
			if !slices.Contains(list[1], name) {
				return fmt.Errorf("there is no %s %q: take some of %s", what, name, strings.Join(list[1], ", "))
			}
		}
	}
	for _, d := range []time.Duration{o.Hold, o.Probe} {
		if d < 0 || d%time.Second != 0 {
			return fmt.Errorf("%s is no length of a run: give whole seconds", d)
		}
	}
	switch {
	case min(o.Users, o.Leased, o.Signed, o.Desktops, o.Rounds) < 0 || o.Rate < 0:
		return errors.New("numbers and rates cannot be negative")
	case max(o.Users, o.Signed, o.Desktops) > 1_000_000:
		return errors.New("users and desktops: give numbers up to 1,000,000")
	}
	return nil
}
