package logins

import (
	"cmp"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Names of those who use CPU, as reports have them.
const (
	whoClients   = "clients"
	whoGTM       = "gtm"
	whoLB        = "lb"
	whoBrokers   = "brokers"
	whoPostgres  = "PostgreSQL"
	whoDirectory = "slapd"
	whoOthers    = "others" // the kernel's own threads, and whoever else is on the machine
)

// meter reads how much CPU each of several processes has used.
type meter map[string]func() (time.Duration, error)

// meter of a chain, without clients.
func (c *chain) meter() meter {
	s := c.stage
	m := meter{
		whoDirectory: func() (time.Duration, error) { return cpuOf(s.ldap.PID()) },
		whoBrokers: func() (sum time.Duration, err error) {
			for _, p := range c.brokers {
				one, err := cpuOf(p.pid())
				if err != nil {
					return 0, err
				}
				sum += one
			}
			return sum, nil
		},
	}
	if !c.spec.sqlite {
		m[whoPostgres] = func() (time.Duration, error) { return cpuOfFamily(s.pg.PID()) }
	}
	if !c.spec.alone {
		m[whoGTM] = func() (time.Duration, error) { return cpuOf(c.gtm.pid()) }
		m[whoLB] = func() (time.Duration, error) { return cpuOf(c.lb.pid()) }
	}
	return m
}

// reading is what each had used at a moment.
type reading struct {
	at   time.Time
	used map[string]time.Duration
	busy time.Duration // of all cores
}

func (m meter) read() (reading, error) {
	r := reading{at: time.Now(), used: make(map[string]time.Duration)}
	for who, ask := range m {
		used, err := ask()
		if err != nil {
			return r, fmt.Errorf("CPU of %s: %w", who, err)
		}
		r.used[who] = used
	}
	var err error
	r.busy, err = busy()
	return r, err
}

// CPU is what each used between two readings, in parts of one core.
type CPU struct {
	Cores int                `json:"cores"`
	Used  map[string]float64 `json:"used"`
	Busy  float64            `json:"busy"` // all of them, and everybody else
}

func (r reading) since(before reading) CPU {
	took := r.at.Sub(before.at).Seconds()
	c := CPU{Cores: runtime.NumCPU(), Used: make(map[string]float64), Busy: (r.busy - before.busy).Seconds() / took}
	rest := c.Busy
	for who, used := range r.used {
		c.Used[who] = (used - before.used[who]).Seconds() / took
		rest -= c.Used[who]
	}
	c.Used[whoOthers] = max(0, rest)
	return c
}

// fullCores is the part of all cores above which the machine has nothing left.
const fullCores = 0.9

// full says whether the cores were the limit.
func (c CPU) full() bool { return c.Busy >= fullCores*float64(c.Cores) }

// largest lists who used most, with their parts of what all used.
func (c CPU) largest() string {
	names := slices.SortedFunc(maps.Keys(c.Used), func(a, b string) int {
		return cmp.Or(cmp.Compare(c.Used[b], c.Used[a]), cmp.Compare(a, b))
	})
	var parts []string
	for _, n := range names {
		if share := c.Used[n] / max(c.Busy, 0.01); share >= 0.01 {
			parts = append(parts, fmt.Sprintf("%s %.0f %%", n, 100*share))
		}
	}
	return strings.Join(parts, ", ")
}

// limit says which resource there was no more of.
func (c CPU) limit() string {
	if c.full() {
		return fmt.Sprintf("the %d cores (%.0f %% busy): %s", c.Cores, 100*c.Busy/float64(c.Cores), c.largest())
	}
	return fmt.Sprintf("not the cores (%.0f %% busy): %s", 100*c.Busy/float64(c.Cores), c.largest())
}

// each gives CPU per login, in ms, of who has it.
func (c CPU) each(rate float64) map[string]float64 {
	out := make(map[string]float64)
	for who, used := range c.Used {
		if rate > 0 {
			out[who] = 1000 * used / rate
		}
	}
	return out
}
