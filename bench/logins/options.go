package logins

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// Parts of the benchmark.
const (
	partChain    = "chain"
	partJourneys = "journeys"
	partLimit    = "limit"
	partLinear   = "linear"
	partSteps    = "steps"
	partSoak     = "soak"
	partStorm    = "storm"
	partSlow     = "slow"
)

// Parts lists those of `bench logins`, StormParts those of `bench storm`.
func Parts() []string {
	return []string{partChain, partJourneys, partLimit, partLinear, partSteps, partSoak}
}

// StormParts lists them.
func StormParts() []string { return []string{partStorm, partSlow} }

// Stores that a chain can have.
const (
	storePostgres = "postgres"
	storeSQLite   = "sqlite"
)

// Stores lists them.
func Stores() []string { return []string{storePostgres, storeSQLite} }

// Limits that hold on two cores.
const (
	minLogins     = 500  // a second, through the whole chain
	goalLogins    = 1000 // a second
	goalP99       = 100  // ms, at that
	minLimit      = 0.5  // of what database and directory could do together
	goalLimit     = 0.65 //
	minLinear     = 0.9  // of n times what one broker does
	maxLoginWait  = 120  // seconds, of a login that was accepted
	minGoodput    = 0.95 // of what a slow directory can do
	maxRecovery   = 5    // seconds, from a queue that is low to is_alive 200
	originalRate  = 5    // logins/s of one broker of the original, published 2018 on other hardware
	thirtyQueries = 30   // statements of the original's login
)

// Options says what is measured. Zero values mean the defaults.
type Options struct {
	Parts  []string      // default Parts()
	Stores []string      // of the chain; default both
	Users  int           // default 10,000
	Hold   time.Duration // of the run at the highest rate; default 60 s
	Probe  time.Duration // of one step of the search; default 3 s
	Rounds int           // of the comparison with database and directory; default 7
	Rate   float64       // logins/s; 0: search the highest
	Soak   time.Duration // default 10 min

	Brokers []int   // numbers of brokers that are compared; default 1, 2, 4, 8, 10
	Share   float64 // of a core that each of them gets; default 0.05

	StormFor time.Duration // in which all users arrive; default 60 s
	SlowRate float64       // binds/s of a slow directory; default 100
	SlowLoad float64       // logins/s that it is offered; default three times that
	SlowFor  time.Duration // default 3 min

	// Profiles is a folder for CPU profiles of broker and balancer; empty: none are kept.
	Profiles string
	Logs     string    // folder for the logs of all processes; empty: none are kept
	Quick    bool      // a run of some seconds whose figures mean nothing
	Progress io.Writer // nil: nobody watches
	Self     string    // the program whose processes are started; default: this one
}

func (o Options) withDefaults() (Options, error) {
	if o.Quick {
		o = o.quick()
	}
	if len(o.Parts) == 0 {
		o.Parts = Parts()
	}
	if len(o.Stores) == 0 {
		o.Stores = Stores()
	}
	if len(o.Brokers) == 0 {
		o.Brokers = []int{1, 2, 4, 8, 10}
	}
	o.Users = cmp.Or(o.Users, 10_000)
	o.Hold = cmp.Or(o.Hold, time.Minute)
	o.Probe = cmp.Or(o.Probe, 3*time.Second)
	o.Rounds = cmp.Or(o.Rounds, 7)
	o.Soak = cmp.Or(o.Soak, 10*time.Minute)
	o.Share = cmp.Or(o.Share, 0.05)
	o.StormFor = cmp.Or(o.StormFor, time.Minute)
	o.SlowRate = cmp.Or(o.SlowRate, 100)
	o.SlowLoad = cmp.Or(o.SlowLoad, 3*o.SlowRate)
	o.SlowFor = cmp.Or(o.SlowFor, 3*time.Minute)
	if o.Self == "" {
		var err error
		if o.Self, err = os.Executable(); err != nil {
			return o, fmt.Errorf("find the own binary: %w", err)
		}
	}
	return o, nil
}

// quick goes through everything with figures that mean nothing.
func (o Options) quick() Options {
	o.Users, o.Hold, o.Probe, o.Rounds, o.Rate, o.Soak = 200, time.Second, time.Second, 1, 30, time.Second
	o.Brokers, o.Share = []int{1, 2}, 0.2
	o.StormFor, o.SlowRate, o.SlowLoad, o.SlowFor = 2*time.Second, 40, 60, 2*time.Second
	return o
}

// Validate says what cannot be run.
func (o Options) Validate() error {
	all := slices.Concat(Parts(), StormParts())
	for _, p := range o.Parts {
		if !slices.Contains(all, p) {
			return fmt.Errorf("there is no part %q: take some of %s", p, strings.Join(all, ", "))
		}
	}
	for _, s := range o.Stores {
		if !slices.Contains(Stores(), s) {
			return fmt.Errorf("there is no store %q: take some of %s", s, strings.Join(Stores(), ", "))
		}
	}
	for _, n := range o.Brokers {
		if n < 1 || n > 100 {
			return fmt.Errorf("%d brokers cannot be compared: 1 to 100 can", n)
		}
	}
	for _, d := range []time.Duration{o.Hold, o.Probe, o.Soak, o.StormFor, o.SlowFor} {
		if d < 0 || d%time.Second != 0 {
			return fmt.Errorf("%s is no length of a run: give whole seconds", d)
		}
	}
	switch {
	case o.Users < 0 || o.Users > 1_000_000:
		return errors.New("users: give a number up to 1,000,000")
	case o.Rounds < 0 || o.Rate < 0 || o.SlowRate < 0 || o.SlowLoad < 0:
		return errors.New("rounds and rates cannot be negative")
	case o.Share != 0 && (o.Share < 0.01 || o.Share > 1):
		return errors.New("a share is 0.01 to 1 of a core")
	}
	return nil
}
