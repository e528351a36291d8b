package httpbench

import (
	"context"
	"fmt"
	"math"
	"time"

	"switchpoint/bench/quantile"
)

// latencyConns is how many connections the open loop has. It is far above what the rate needs, so
// that a request waits for the server, not for a connection.
const latencyConns = 64

// latencyRow measures what each proxy adds to the p99 of the upstream, at half of the rate that the
// slowest of them can do.
func (r *run) latencyRow(ctx context.Context) error {
	rate, err := r.halfLoad(ctx)
	if err != nil {
		return err
	}
	upstream := r.stage.upstream
	p99 := map[string][]float64{}
	err = r.turns("latency", append([]*server{upstream}, r.stage.proxies...), func(v *server) error {
		var got loadResult
		err := r.stage.result(task{Role: roleLoad, Target: v.plain, Path: smallFile, Size: 1 << 10, Conns: latencyConns, Rate: rate, For: r.o.Length}, &got)
		if err != nil {
			return err
		}
		if got.Failed > 0 {
			return fmt.Errorf("%s: %d of %d requests failed: %s", v.name, got.Failed, got.Sent, got.Error)
		}
		p99[v.name] = append(p99[v.name], float64(got.P99)/float64(time.Microsecond))
		return nil
	})
	if err != nil {
		return err
	}
	row := Row{ID: rowLatency, Name: fmt.Sprintf("p99 added, 1 KB, open loop of %.0f/s", rate), Unit: "us"}
	for _, v := range r.stage.proxies {
		row.Figures = append(row.Figures, figure(v.name, paired(p99[v.name], p99[upstream.name], difference)))
	}
	row.Figures = append(row.Figures, figure("upstream alone", p99[upstream.name]))
	row.Gates = []Gate{pairGate("us more than "+nginx, paired(p99[ours], p99[nginx], difference), 0, false)}
	r.add(row)
	return nil
}

// tries is how often it is measured what a proxy can do; the median counts.
const tries = 3

// halfLoad is half of what the slowest proxy can do.
func (r *run) halfLoad(ctx context.Context) (float64, error) {
	w := workloads()[0]
	slowest := math.Inf(1)
	for _, v := range r.stage.proxies {
		var can []float64
		for try := range tries {
			r.bar.Step("the most that it can do", try+1, tries, v.name)
			n, err := r.wrk(ctx, v, w, time.Second)
			if err != nil {
				return 0, err
			}
			can = append(can, float64(n))
		}
		slowest = min(slowest, quantile.Median(can))
	}
	return math.Floor(slowest / 2), nil
}
