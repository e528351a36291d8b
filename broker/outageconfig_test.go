package broker

import (
	"strings"
	"testing"
	"time"

	"switchpoint/internal/problem"
)

func TestOutageConfig(t *testing.T) {
	database := Database{Kind: KindPostgres}
	for name, tc := range map[string]struct {
		given Outage
		want  string // a part of what is wrong with it; empty: nothing
	}{
		"defaults":                {Outage{}, ""},
		"leases":                  {Outage{Mode: OutageLeases, Profile: OutageCitrix, CacheEvery: time.Second}, ""},
		"elected":                 {Outage{Serve: ServeElected, Elect: ElectCapacity}, ""},
		"elected by name":         {Outage{Serve: ServeElected, Elect: ElectName}, ""},
		"unknown mode":            {Outage{Mode: "lease"}, `outage.mode: unknown mode "lease"`},
		"unknown profile":         {Outage{Profile: "slow"}, `outage.profile`},
		"unknown serve":           {Outage{Serve: "one"}, `outage.serve: unknown value "one"`},
		"unknown elect":           {Outage{Serve: ServeElected, Elect: "size"}, `outage.elect: unknown value "size"`},
		"an election of nobody":   {Outage{Elect: ElectCapacity}, `outage.elect: nobody is elected while all brokers serve`},
		"too often":               {Outage{CacheEvery: time.Millisecond}, `outage.cache_every`},
		"a cache of a moment":     {Outage{CacheMaxAge: time.Second}, `outage.cache_max_age`},
		"a longer way of writing": {Outage{Mode: OutageAuto, Profile: OutageFast, CacheEvery: 2 * time.Minute, CacheMaxAge: 168 * time.Hour, Serve: ServeAll, Elect: ElectName}, ""},
	} {
		var l problem.List
		tc.given.withDefaults(database).validate(&l)
		switch err := l.Err(); {
		case tc.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
	if o := (Outage{}).withDefaults(database); o.Mode != OutageAuto || o.Serve != ServeAll || o.Elect != ElectName || o.Leasing() != "" {
		t.Errorf("%+v", o)
	}
	if o := (Outage{Mode: OutageLeases}).withDefaults(Database{Kind: KindSQLite}); o.Mode != OutageOff || o.Leasing() == "" {
		t.Errorf("the embedded database has no outage mode: %+v", o)
	}
}
