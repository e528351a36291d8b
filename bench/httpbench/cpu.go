package httpbench

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"switchpoint/bench/quantile"

	"golang.org/x/sync/errgroup"
)

// cpuRow measures what a request costs each proxy.
func (r *run) cpuRow(ctx context.Context, w workload) error {
	total := map[string][]float64{}
	system := map[string][]float64{}
	for _, v := range r.stage.proxies {
		if r.o.Quick {
			break
		}
		r.bar.Say(w.name + ": warming up " + v.name)
		if _, err := r.drive(ctx, v, w, time.Second); err != nil {
			return err
		}
	}
	err := r.turns(w.name, r.stage.proxies, func(v *server) error {
		before, err := v.proc.usage()
		if err != nil {
			return err
		}
		n, err := r.drive(ctx, v, w, r.o.Length)
		if err != nil {
			return err
		}
		after, err := v.proc.usage()
		if err != nil {
			return err
		}
		total[v.name] = append(total[v.name], micros(after.cpu()-before.cpu(), n))
		system[v.name] = append(system[v.name], micros(after.system-before.system, n))
		return nil
	})
	if err != nil {
		return err
	}
	row := Row{ID: w.id, Name: w.name, Unit: "us CPU per request"}
	for _, v := range r.stage.proxies {
		f := figure(v.name, total[v.name])
		f.System = quantile.Median(system[v.name])
		row.Figures = append(row.Figures, f)
		if limit := w.limits[v.name]; limit > 0 {
			row.Gates = append(row.Gates, pairGate("x "+v.name, paired(total[ours], total[v.name], ratio), limit, false))
		}
	}
	r.add(row)
	if w.allocs {
		if err := r.allocsRow(ctx, w); err != nil {
			return err
		}
	}
	return r.profileRow(ctx, w)
}

func micros(d time.Duration, n int64) float64 {
	return float64(d) / float64(time.Microsecond) / float64(n)
}

// drive sends the row's traffic to a server for d and gives the requests that were answered.
func (r *run) drive(ctx context.Context, v *server, w workload, d time.Duration) (int64, error) {
	if !w.fresh {
		return r.wrk(ctx, v, w, d)
	}
	var count countResult
	err := r.stage.result(task{Role: roleHandshakes, Target: v.secure, Path: w.path, Size: w.size, Conns: w.conns, For: d, CA: r.stage.cert}, &count)
	return count.N, err
}

// allocsRow counts what our process allocates for a request: what the counter says, less what
// reading the counter itself costs.
func (r *run) allocsRow(ctx context.Context, w workload) error {
	var runs []float64
	err := r.turns("allocations", []*server{r.self}, func(v *server) error {
		var at [3]float64
		var n int64
		for i := range at {
			if i == 1 {
				var err error
				if n, err = r.drive(ctx, v, w, r.o.Length); err != nil {
					return err
				}
			}
			var err error
			if at[i], err = mallocs(ctx, v.socket); err != nil {
				return err
			}
		}
		runs = append(runs, max(0, (at[1]-at[0])-(at[2]-at[1]))/float64(n))
		return nil
	})
	if err != nil {
		return err
	}
	f := figure(ours, runs)
	g := Gate{What: "per request, connections included", Value: f.Value, Limit: maxAllocs}
	g.judge()
	r.add(Row{ID: "allocs", Name: "allocations, " + w.name, Unit: "per request", Figures: []Figure{f}, Gates: []Gate{g}})
	return nil
}

// profileRow writes a profile of ours under the row's traffic, after its figures were taken.
func (r *run) profileRow(ctx context.Context, w workload) error {
	if r.o.Profiles == "" {
		return nil
	}
	if err := os.MkdirAll(r.o.Profiles, 0o750); err != nil {
		return err
	}
	r.bar.Say(w.name + ": profile of " + ours)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		_, err := r.drive(ctx, r.self, w, r.o.Length+2*time.Second)
		return err
	})
	group.Go(func() error {
		return profile(ctx, r.self.socket, filepath.Join(r.o.Profiles, w.id+".pprof"), r.o.Length)
	})
	return group.Wait()
}
