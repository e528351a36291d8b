package clusterbench

import (
	"context"
	"time"

	"switchpoint/bench/pgserver"
	"switchpoint/bench/progress"
)

// RawLogin is the store's login statement under pgbench: the most that a server can do of it.
type RawLogin struct {
	run    *run
	script *script
}

// NewRawLogin prepares it on a server of the caller's, in a database of its own named "login". Files
// go to a folder that the server's user can enter.
func NewRawLogin(ctx context.Context, server *pgserver.Server, dir string, clients int) (*RawLogin, error) {
	l := &RawLogin{run: &run{o: Options{Clients: clients}, dir: dir, server: server, bar: progress.New(nil)}}
	if err := l.run.database(ctx, "login"); err != nil {
		return nil, err
	}
	var err error
	l.script, err = l.run.loginScript(ctx)
	return l, err
}

// Rate is the transactions a second of a run, in whole seconds.
func (l *RawLogin) Rate(ctx context.Context, length time.Duration) (float64, error) {
	return l.rate(ctx, l.script, length)
}

// RateOf is the same for a file of statements, which may use the variables start, n and client_id.
func (l *RawLogin) RateOf(ctx context.Context, file string, length time.Duration) (float64, error) {
	return l.rate(ctx, &script{file: file, defines: []string{"--define=n=0"}}, length)
}

func (l *RawLogin) rate(ctx context.Context, s *script, length time.Duration) (float64, error) {
	r := *l.run
	r.o.Length = length
	return r.pgbench(ctx, s)
}
