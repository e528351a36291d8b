package postgres

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

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
