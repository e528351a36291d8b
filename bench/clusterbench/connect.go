package clusterbench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"switchpoint/bench/quantile"
	"switchpoint/broker"
	"switchpoint/broker/postgres"
)

// connectConns is how many connections to the database the broker has: its default.
const connectConns = 16

// connect fills a database as a large company has it, and lets a broker connect users at a fixed rate.
func (r *run) connect(ctx context.Context) error {
	if err := r.database(ctx, "large"); err != nil {
		return err
	}
	s, err := r.open(ctx, "large", connectConns)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }() // what was measured is known by then
	b, err := broker.New(ctx, broker.Options{
		Config: broker.Config{Cluster: "bench", SiteID: 1, Listen: []string{"127.0.0.1:0"}},
		Name:   "broker-1", Datacenter: "bench", Version: "bench", Store: s,
	})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var ended error
	wg.Go(func() { ended = b.Run(running) })
	err = r.connects(ctx, b, s)
	stop()
	wg.Wait()
	return errors.Join(err, ended)
}

func (r *run) connects(ctx context.Context, b *broker.Broker, s *postgres.Store) error {
	r.bar.Say(fmt.Sprintf("%d desktops", r.o.Desktops))
	if _, err := b.Apply(ctx, house(r.o.Desktops-r.o.Desktops/2, r.o.Desktops/2), false, "bench"); err != nil {
		return err
	}
	tokens, err := r.signedIn(ctx, s)
	if err != nil {
		return err
	}
	if err := r.fillLog(ctx); err != nil {
		return err
	}
	each := r.o.Rate * int(r.o.Length/time.Second)
	var p50, p99, worst []float64
	for round := range r.o.Rounds {
		r.bar.Step("connects", round+1, r.o.Rounds, strconv.Itoa(r.o.Rate)+" a second")
		took, err := r.openLoop(ctx, b, tokens[round*each:(round+1)*each])
		if err != nil {
			return err
		}
		p50, p99, worst = append(p50, quantile.Of(took, .5)), append(p99, quantile.Of(took, .99)), append(worst, quantile.Of(took, 1))
	}
	name := fmt.Sprintf("connect, %d log rows, %d users, %d desktops, %d/s, ", r.o.LogRows, r.o.Users, r.o.Desktops, r.o.Rate)
	r.report.Rows = append(r.report.Rows,
		newRow(name+"p50", "ms", p50), newRow(name+"p99", "ms", p99).atMost(maxConnectP99), newRow(name+"slowest", "ms", worst))
	return nil
}

// ticket is a user's token with the offer that he will take.
type ticket struct{ token, offer string }

// signedIn records a login of each user. The first half of the desktops belongs to the first users:
// of them every second one takes his own desktop, all others one of the pool.
func (r *run) signedIn(ctx context.Context, s broker.Store) ([]ticket, error) {
	out := make([]ticket, r.o.Users)
	err := crowd(2*connectConns, func(n int) (bool, error) {
		if n >= len(out) {
			return false, nil
		}
		if n%1000 == 0 {
			r.bar.Step("users sign in", n, len(out), "the store")
		}
		token, login, err := signIn(ctx, s, userName(n))
		if err == nil && (login.Session == nil || len(login.Offers) == 0) {
			err = errors.New("a login without an offer")
		}
		if err != nil {
			return false, err
		}
		offer := login.Offers[len(login.Offers)-1] // own desktops come first
		if n%2 == 0 {
			offer = login.Offers[0]
		}
		out[n] = ticket{token.String(), offer.ID.String()}
		return true, nil
	})
	return out, err
}

// fillLog repeats what the logins have written, as of earlier days.
func (r *run) fillLog(ctx context.Context) error {
	r.bar.Say(fmt.Sprintf("%d log rows", r.o.LogRows))
	have, err := r.server.SQL(ctx, "large", "SELECT count(*) FROM log")
	if err != nil {
		return err
	}
	rows, err := strconv.Atoi(have)
	if err != nil {
		return err
	}
	const columns = `ref, kind, code, directory, user_name, client_addr, client_name, site_id, session_id, desktop, duration_us, reason`
	_, err = r.server.SQL(ctx, "large", fmt.Sprintf(`INSERT INTO log (id, at, %[1]s)
		SELECT gen_random_uuid(), at - day * interval '1 day', %[1]s FROM log, generate_series(1, %[2]d) AS day LIMIT %[3]d;
		VACUUM ANALYZE;
		CHECKPOINT;`, columns, r.o.LogRows/max(1, rows)+1, max(0, r.o.LogRows-rows)))
	return err
}

// openLoop lets each user connect at his time, whatever became of those before him, and returns how
// many milliseconds after that he had his desktop.
func (r *run) openLoop(ctx context.Context, b *broker.Broker, users []ticket) ([]float64, error) {
	took := make([]float64, len(users))
	errs := make([]error, len(users))
	gap := time.Second / time.Duration(r.o.Rate)
	var wg sync.WaitGroup
	began := time.Now()
	for i, u := range users {
		due := began.Add(time.Duration(i) * gap)
		select {
		case <-ctx.Done():
			wg.Wait()
			return nil, ctx.Err()
		case <-time.After(time.Until(due)):
		}
		wg.Go(func() {
			_, errs[i] = b.Connect(ctx, broker.ConnectRequest{Token: u.token, Offer: u.offer, ClientAddr: "192.0.2.7"})
			took[i] = float64(time.Since(due)) / float64(time.Millisecond)
		})
	}
	wg.Wait()
	return took, errors.Join(errs...)
}
