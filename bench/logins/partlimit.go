package logins

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"time"

	"switchpoint/bench/clusterbench"
	"switchpoint/bench/quantile"
)

// Clients of the comparison with database and directory: as many as the broker has connections to each.
const (
	rawClients   = 16
	aloneClients = 32
)

// thirtySQL is a login as the original does it: one query after the other.
//
//go:embed thirty.sql
var thirtySQL []byte

// limit compares a broker with nothing before it to what its database and its directory can do by
// themselves, in turns: one login is one transaction and one search with a bind.
func (r *run) limit(ctx context.Context) error {
	sql, err := clusterbench.NewRawLogin(ctx, r.stage.pg, r.stage.dir, rawClients)
	if err != nil {
		return err
	}
	thirty := r.stage.file("thirty.sql")
	if err := os.WriteFile(thirty, thirtySQL, 0o644); err != nil { //nolint:gosec // G306: pgbench runs as another user
		return err
	}
	c, err := r.stage.startChain(ctx, r.bar, chainSpec{brokers: 1, alone: true, plain: true, desktops: desktops})
	if err != nil {
		return err
	}
	defer c.close()
	var alone, database, directory, ratios []float64
	for round := -1; round < r.o.Rounds; round++ { // one before the first, to warm up
		var rates [3]float64
		for turn := range rates {
			who := (turn + round + len(rates)) % len(rates)
			switch who {
			case 0:
				rates[who], err = r.alone(ctx, c)
			case 1:
				r.bar.Step("the login statement under pgbench", max(round, 0), r.o.Rounds, "PostgreSQL")
				rates[who], err = sql.Rate(ctx, r.o.Probe)
			default:
				rates[who], err = r.rawDirectory(ctx)
			}
			if err != nil {
				return err
			}
		}
		if round >= 0 {
			alone, database, directory = append(alone, rates[0]), append(database, rates[1]), append(directory, rates[2])
			ratios = append(ratios, rates[0]*(1/rates[1]+1/rates[2]))
		}
	}
	r.bar.Say("the login as 30 statements")
	naive, err := sql.RateOf(ctx, thirty, r.o.Probe)
	if err != nil {
		return err
	}
	medianRow := func(name, unit string, runs []float64) Row {
		v := row(name, unit, quantile.Median(runs))
		v.Runs = runs
		return v
	}
	r.report.add(
		medianRow("one broker alone, HTTP on kept connections", "logins/s", alone),
		medianRow(fmt.Sprintf("the login statement under pgbench, %d clients", rawClients), "logins/s", database),
		medianRow(fmt.Sprintf("search and bind on kept LDAPS connections, %d of each", rawClients), "logins/s", directory),
		medianRow("broker alone / (1 / (1/database + 1/directory))", "x", ratios).atLeast(minLimit).goal(goalLimit),
		row(fmt.Sprintf("a login as %d statements under pgbench, database alone", thirtyQueries), "logins/s", naive),
		row("one broker of the original", "logins/s", originalRate).note("published 2018, other hardware"))
	return r.profileAlone(ctx, c)
}

// alone is one run of the broker by itself.
func (r *run) alone(ctx context.Context, c *chain) (float64, error) {
	v, err := r.aloneRun(ctx, c, r.o.Probe)
	if err != nil {
		return 0, err
	}
	return v.rate(), nil
}

func (r *run) aloneRun(ctx context.Context, c *chain, length time.Duration) (*Measured, error) {
	t := c.clients()
	t.Kept, t.Clients, t.For, t.Key = aloneClients, aloneClients, length, false
	v, err := r.load(ctx, "one broker alone", t, c.meter())
	if err == nil && v.Failed+v.Busy > 0 {
		err = fmt.Errorf("one broker alone: %d of %d logins failed: %v", v.Failed+v.Busy, v.Offered, v.Errors)
	}
	return v, err
}

// rawDirectory is one run of search and bind.
func (r *run) rawDirectory(ctx context.Context) (float64, error) {
	s := r.stage
	t := task{Role: roleLDAP, Users: s.users, CA: s.ca.CAFile(), LDAP: s.ldap.Addr, Service: s.file("password"), Clients: rawClients, For: r.o.Probe}
	v, err := r.load(ctx, "search and bind", t, nil)
	if err != nil {
		return 0, err
	}
	if v.Failed > 0 {
		return 0, fmt.Errorf("search and bind: %d failed: %v", v.Failed, v.Errors)
	}
	return v.rate(), nil
}
