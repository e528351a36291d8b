package lb

import (
	"strings"
	"testing"
	"time"

	"switchpoint/internal/covers"
)

// TestUpstreamConfig: what the pools may say of their members, and the defaults.
func TestUpstreamConfig(t *testing.T) {
	base := func() Config {
		cfg := plainConfig([]Member{{Address: "192.0.2.1:80"}, {Address: "192.0.2.2:80"}})
		cfg.Pools = append(cfg.Pools, Pool{Name: "spare", Members: []Member{{Address: "192.0.2.3:80"}}}, Pool{Name: "last", Members: []Member{{Address: "192.0.2.4:80"}}})
		return cfg
	}
	p := base().WithDefaults().Pools[0]
	if p.SlowStart != 30*time.Second || p.MinActive != 1 || p.PanicThreshold != 0 || p.Queue != 1000 || p.QueueTimeout != 10*time.Second {
		t.Errorf("defaults %+v", p)
	}
	tests := []struct {
		name string
		edit func(c *Config)
		want []string // parts of the error; none: it is valid
	}{
		{"nothing", func(*Config) {}, nil},
		{"all of it", func(c *Config) {
			p := &c.Pools[0]
			p.SlowStart, p.MinActive, p.PanicThreshold, p.Queue, p.QueueTimeout, p.BackupPool = time.Minute, 2, 100, 1, time.Second, "spare"
			p.Members[0].Priority, p.Members[1].MaxInFlight = 1000, 1
			c.Pools[1].BackupPool = "last"
		}, nil},
		{"slow_start", func(c *Config) { c.Pools[0].SlowStart = 2 * time.Hour }, []string{"pool[0].slow_start"}},
		{"queue_timeout", func(c *Config) { c.Pools[0].QueueTimeout = -time.Second }, []string{"pool[0].queue_timeout"}},
		{"queue", func(c *Config) { c.Pools[0].Queue = -1 }, []string{"pool[0].queue"}},
		{"panic_threshold", func(c *Config) { c.Pools[0].PanicThreshold = 101 }, []string{"pool[0].panic_threshold"}},
		{"min_active", func(c *Config) { c.Pools[0].MinActive = 3 }, []string{"pool[0].min_active", "1 to 2"}},
		{"members", func(c *Config) { c.Pools[0].Members[0].Priority, c.Pools[0].Members[1].MaxInFlight = 1001, -5 },
			[]string{"pool[0].members[0].priority", "pool[0].members[1].max_in_flight"}},
		{"unknown backup", func(c *Config) { c.Pools[0].BackupPool = "spar" }, []string{"pool[0].backup_pool", `no pool "spar"`}},
		{"its own backup", func(c *Config) { c.Pools[1].BackupPool = "spare" }, []string{"pool[1].backup_pool", "spare -> spare"}},
		{"a circle", func(c *Config) { c.Pools[1].BackupPool, c.Pools[2].BackupPool = "last", "spare" },
			[]string{"pool[1].backup_pool", "spare -> last -> spare", "pool[2].backup_pool"}},
		{"before a circle", func(c *Config) {
			c.Pools[0].BackupPool, c.Pools[1].BackupPool, c.Pools[2].BackupPool = "spare", "last", "spare"
		}, []string{"pool[1].backup_pool"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := base()
			tt.edit(&cfg)
			err := cfg.Validate()
			if len(tt.want) == 0 && err != nil {
				t.Error(err)
			}
			for _, part := range tt.want {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("%q is not in: %v", part, err)
				}
			}
			if tt.name == "before a circle" && err != nil && strings.Contains(err.Error(), "pool[0]") {
				t.Errorf("a pool outside the circle is blamed: %v", err)
			}
		})
	}
}

// TestBackupOnDown: a pool that only backs up others may be that of a tcp listener all the same.
func TestBackupOnDown(t *testing.T) {
	covers.Req(t, "LB4")
	cfg := tcpConfig(Member{Address: "192.0.2.1:80"})
	cfg.Pools[0].BackupPool = "spare"
	cfg.Pools = append(cfg.Pools, Pool{Name: "spare", Monitor: "m", OnDown: onDownClose, Members: []Member{{Address: "192.0.2.3:80"}}})
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
	cfg.Pools[0].BackupPool = ""
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "pool[1].on_down") {
		t.Errorf("nothing leads to it: %v", err)
	}
}
