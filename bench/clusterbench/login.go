package clusterbench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime/pprof"
	"strconv"
	"time"

	"switchpoint/broker"
)

const (
	loginPool  = 1000   // free desktops that each login offers one of
	loginUsers = 50_000 // who sign in again and again
)

// login lets the store and pgbench record logins in turns.
func (r *run) login(ctx context.Context) error {
	if err := r.database(ctx, "login"); err != nil {
		return err
	}
	script, err := r.loginScript(ctx)
	if err != nil {
		return err
	}
	s, err := r.open(ctx, "login", r.o.Clients)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }() // what was measured is known by then
	profile, err := startProfile(r.o.Profile)
	if err != nil {
		return err
	}
	defer profile()
	var ours, theirs, ratios []float64
	for round := -1; round < r.o.Rounds; round++ { // one before the first, to warm up
		var rates [2]float64
		for turn := range 2 {
			who := (turn + round + 1) % 2
			r.bar.Step("logins/s", round+1, r.o.Rounds, []string{"the store", "pgbench"}[who])
			if who == 0 {
				rates[who], err = r.storeLogins(ctx, s)
			} else {
				rates[who], err = r.pgbench(ctx, script)
			}
			if err != nil {
				return err
			}
		}
		if round >= 0 {
			ours, theirs, ratios = append(ours, rates[0]), append(theirs, rates[1]), append(ratios, rates[0]/rates[1])
		}
	}
	clients := strconv.Itoa(r.o.Clients) + " clients"
	r.report.Rows = append(r.report.Rows,
		newRow("login statement, the store, "+clients, "logins/s", ours),
		newRow("login statement, pgbench, "+clients, "logins/s", theirs),
		newRow("login statement, the store / pgbench", "x", ratios).atLeast(minLogin))
	return nil
}

// startProfile writes a CPU profile until the func that it returns is called.
func startProfile(name string) (func(), error) {
	if name == "" {
		return func() {}, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close() // a profile that is cut short cannot be read, which is seen then
	}, nil
}

// storeLogins is one run of the store.
func (r *run) storeLogins(ctx context.Context, s broker.Store) (float64, error) {
	done := make(chan struct{})
	stop := time.AfterFunc(r.o.Length, func() { close(done) })
	defer stop.Stop()
	began := time.Now()
	first := int(began.UnixNano())
	counts := make(chan int, r.o.Clients)
	err := crowd(r.o.Clients, func(client int) (bool, error) {
		n := 0
		defer func() { counts <- n }()
		for ; ; n++ {
			select {
			case <-done:
				return false, nil
			default:
			}
			_, out, err := signIn(ctx, s, userName((first+client*7919+n)%loginUsers))
			if err == nil && (out.Session == nil || len(out.Offers) != 1) {
				err = errors.New("a login without an offer")
			}
			if err != nil {
				return false, err
			}
		}
	})
	took := time.Since(began)
	sum := 0
	for range len(counts) {
		sum += <-counts
	}
	return float64(sum) / took.Seconds(), err
}

var tps = regexp.MustCompile(`(?m)^tps = ([0-9.]+) `)

// pgbench is one run of pgbench.
func (r *run) pgbench(ctx context.Context, script *script) (float64, error) {
	args := []string{
		"--file=" + script.file, "--protocol=prepared", "--no-vacuum", "--client=" + strconv.Itoa(r.o.Clients), "--jobs=2",
		"--time=" + strconv.Itoa(int(r.o.Length/time.Second)), "--define=start=" + strconv.FormatInt(time.Now().UnixMicro(), 10),
	}
	args = append(args, script.defines...)
	// TCP, as the store has it.
	out, err := r.server.Run(ctx, "pgbench", append(args, r.server.URL("login"))...)
	if err != nil {
		return 0, err
	}
	m := tps.FindStringSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("pgbench did not say how many transactions it made:\n%s", out)
	}
	return strconv.ParseFloat(m[1], 64)
}

// loginScript makes the setup and writes what pgbench runs.
func (r *run) loginScript(ctx context.Context) (*script, error) {
	s, err := r.open(ctx, "login", 2)
	if err != nil {
		return nil, err
	}
	if _, err := s.ReplaceSetup(ctx, house(loginPool, 0), 0, logRow(broker.LogSetup)); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	// From here on the server writes down what it is sent: two logins of two users.
	if _, err := r.server.SQL(ctx, "postgres", "ALTER DATABASE login SET log_statement = 'all'"); err != nil {
		return nil, err
	}
	if s, err = r.open(ctx, "login", 2); err != nil {
		return nil, err
	}
	for _, user := range []string{"first", "second"} {
		if _, _, err := signIn(ctx, s, user); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	if _, err := r.server.SQL(ctx, "postgres", "ALTER DATABASE login RESET log_statement"); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(r.server.LogFile())
	if err != nil {
		return nil, err
	}
	sent := captured(string(text), "INSERT INTO session")
	if len(sent) != 2 || sent[0].sql != sent[1].sql {
		return nil, fmt.Errorf("the server's log shows %d login statements, want the same one twice", len(sent))
	}
	types, err := r.server.SQL(ctx, "login", "PREPARE p AS "+sent[0].sql+";\nSELECT unnest(parameter_types)::text FROM pg_prepared_statements WHERE name = 'p'")
	if err != nil {
		return nil, err
	}
	made, err := newScript(sent[0], sent[1], types)
	if err != nil {
		return nil, err
	}
	made.file = filepath.Join(r.dir, "login.sql")
	return made, os.WriteFile(made.file, []byte(made.text), 0o644) //nolint:gosec // G306: pgbench runs as another user
}
