package outage

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"
)

// long says that there is time for the long runs.
func long() bool { return os.Getenv("SWITCHPOINT_FAULTS") == "long" }

// tooLong for one login: a second for the database, and room for a machine that does other things, too.
const tooLong = databaseWait + 3*time.Second

// phases of a crowd's time. A login belongs to the one in which it began.
const (
	before  = iota // the database is there
	between        // it is gone, and the mode does not say so yet
	during         // the mode does
	after          // it is there again
	phases
)

// crowd are users who sign in at an even pace, whatever becomes of the ones before them.
type crowd struct {
	w     *world
	stop  func() // no one comes any more, and all have their answers
	mu    sync.Mutex
	phase int
	took  [phases][]time.Duration
	lost  [phases]int
	why   []string // of the first that failed
}

func (w *world) startCrowd(t *testing.T) *crowd {
	t.Helper()
	c := &crowd{w: w}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		start := time.Now()
		for i := 0; ; i++ {
			due := start.Add(time.Duration(i) * time.Second / loginsPerSecond)
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Until(due)):
				wg.Go(func() { c.signIn(i, due) })
			}
		}
	})
	c.stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(c.stop)
	return c
}

func (c *crowd) signIn(i int, due time.Time) {
	c.mu.Lock()
	phase := c.phase
	c.mu.Unlock()
	r, _ := record(fmt.Sprint("user", i))
	out, err := c.w.Login(context.Background(), r)
	took := time.Since(due)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.took[phase] = append(c.took[phase], took)
	if err == nil && out.Session != nil {
		return
	}
	c.lost[phase]++
	if len(c.why) < 5 {
		c.why = append(c.why, fmt.Sprintf("in mode %s after %s: %v", c.w.State().Mode, took, err))
	}
}

func (c *crowd) enter(phase int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.phase = phase
}

// done is how many have had their answer.
func (c *crowd) done() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, took := range c.took {
		n += len(took)
	}
	return n
}

// goOn waits for more of them.
func (c *crowd) goOn(t *testing.T, what string) {
	t.Helper()
	n := c.done()
	eventually(t, what, 20*time.Second, func() bool { return c.done() >= n+loginsPerSecond })
}

// report ends the crowd and prints what it met: for each phase how many came, and the times of most and of
// all of them.
func (c *crowd) report(t *testing.T, what string) {
	t.Helper()
	c.stop()
	for phase, name := range [phases]string{"before", "between", "during", "after"} {
		took := c.took[phase]
		if len(took) == 0 {
			continue
		}
		slices.Sort(took)
		what += fmt.Sprintf("; %s %d logins, %d failed, p99 %s, slowest %s", name, len(took), c.lost[phase],
			took[len(took)*99/100].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
		if c.lost[phase] > 0 {
			t.Errorf("%d logins failed %s", c.lost[phase], name)
		}
		if took[len(took)-1] > tooLong {
			t.Errorf("a login %s took %s", name, took[len(took)-1])
		}
	}
	t.Log(what)
	for _, why := range c.why {
		t.Log(why)
	}
}
