package outage

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/outage/mode"
)

// BenchmarkLogin signs in without the database, 16 at a time, where 2,000 users have a desktop of their own.
func BenchmarkLogin(b *testing.B) {
	for _, m := range []struct {
		name string
		conf string
		mode mode.Mode
	}{{"hostcache", broker.OutageHostCache, mode.HostCache}, {"leases", broker.OutageLeases, mode.Leased}} {
		b.Run(m.name, func(b *testing.B) {
			w := benchWorld(b, m.conf)
			w.server.Kill()
			w.until(m.mode, 10*time.Second)
			var n atomic.Int64
			b.SetParallelism(8)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					r, _ := record(fmt.Sprintf("user%04d", n.Add(1)%2000))
					if out, err := w.Login(b.Context(), r); err != nil || out.Session == nil {
						b.Errorf("%+v, %v", out, err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "logins/s")
		})
	}
}

// benchWorld has copied 2,000 users with a desktop and leases of their own.
func benchWorld(b *testing.B, conf string) *world {
	server := startServer(b)
	w := newWorldWith(b, &world{server: server, dsn: server.DSN,
		outage: broker.Outage{Mode: conf, Profile: broker.OutageFast, CacheEvery: time.Hour, CacheMaxAge: time.Hour}})
	setup, version, err := w.primary.Setup(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for i := range 2000 {
		name := fmt.Sprintf("user%04d", i)
		setup.Desktops = append(setup.Desktops, broker.Desktop{Name: name + "-pc", Pool: "own", Host: name + ".company.com"})
		setup.Assignments = append(setup.Assignments, broker.Assignment{User: name, Directory: broker.LocalDirectory, Desktop: name + "-pc"})
	}
	if _, err := w.primary.ReplaceSetup(b.Context(), setup.WithDefaults(), version, row(broker.LogSetup, "")); err != nil {
		b.Fatal(err)
	}
	if conf == broker.OutageHostCache {
		if _, err := w.cache.Sync(b.Context()); err != nil {
			b.Fatal(err)
		}
		return w
	}
	for i := range 2000 {
		name := fmt.Sprintf("user%04d", i)
		w.earn(name, name+"-pc", "")
	}
	w.refresh()
	return w
}
