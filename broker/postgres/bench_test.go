package postgres

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"switchpoint/internal/realserver"
)

// BenchmarkLogin is the login statement, of 16 clients at once, on a server with fsync: without a
// key, with session, log row and one offer out of a pool of 1000.
func BenchmarkLogin(b *testing.B) {
	d := serve(b, nil)
	pooler := realserver.PgBouncer(b, realserver.PgBouncerOptions{Server: d.PostgresServer})
	for _, way := range []struct{ name, dsn string }{{"direct", d.DSN}, {"pooler", pooler.DSN}} {
		b.Run(way.name, func(b *testing.B) {
			s := open(b, Options{URL: d.fresh(b, way.dsn), MaxConns: 16})
			fill(b, s, 1000)
			var users atomic.Int64
			b.SetParallelism(8)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := s.Login(context.Background(), record(fmt.Sprint("user", users.Add(1)))); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "logins/s")
		})
	}
}

// BenchmarkConnect is the connect statement to a desktop of the user's own, of 16 clients at once, with the
// leases that it leaves behind: none; ones that stand already, as nearly always; written each time.
func BenchmarkConnect(b *testing.B) {
	const users, life = 1000, 14 * 24 * time.Hour
	d := serve(b, nil)
	pooler := realserver.PgBouncer(b, realserver.PgBouncerOptions{Server: d.PostgresServer})
	for _, way := range []struct{ name, dsn string }{{"direct", d.DSN}, {"pooler", pooler.DSN}} {
		s := open(b, Options{URL: d.fresh(b, way.dsn), MaxConns: 16})
		records := owners(b, s, users)
		exec(b, s, `ANALYZE`)
		for _, lives := range []struct {
			name string
			of   func(n int64) time.Duration
		}{
			{"none", func(int64) time.Duration { return 0 }},
			{"stand", func(int64) time.Duration { return life }},
			{"written", func(n int64) time.Duration { return life << (n / users % 2) }},
		} {
			b.Run(way.name+"/"+lives.name, func(b *testing.B) {
				var count atomic.Int64
				b.SetParallelism(8)
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						n := count.Add(1)
						r := records[n%users]
						r.Log.ID, r.Lease.Life = newID(), lives.of(n)
						if _, err := s.Connect(context.Background(), r); err != nil {
							b.Error(err)
							return
						}
					}
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "connects/s")
			})
		}
	}
}
