package simulate

import (
	"slices"
	"time"
)

// figures are the results of one game, or the medians of many.
type figures struct {
	P50  float64 `json:"p50_ms"`
	P90  float64 `json:"p90_ms"`
	P99  float64 `json:"p99_ms"`
	P999 float64 `json:"p999_ms"`
	// Errors and TimeOuts are shares of all requests.
	Errors   float64 `json:"errors"`
	TimeOuts float64 `json:"time_outs"`
	// MinShare is how many requests the server that got fewest for what it can do had, as a part of
	// its fair share. Servers that fail fast are left out.
	MinShare float64 `json:"min_share"`
	// Held is the largest number of requests at one server.
	Held float64 `json:"held"`
}

// figures sums a game up.
func (w *world) figures() figures {
	ms := func(q float64) float64 {
		return float64(w.latency.ValueAtQuantile(q)) / float64(time.Millisecond/time.Microsecond)
	}
	all := float64(max(1, w.tally.requests))
	return figures{
		P50: ms(50), P90: ms(90), P99: ms(99), P999: ms(99.9),
		Errors: float64(w.tally.errors) / all, TimeOuts: float64(w.tally.timeOuts) / all,
		MinShare: w.minShare(), Held: float64(w.tally.held),
	}
}

func (w *world) minShare() float64 {
	sent, ability := 0.0, 0.0
	for i := range w.servers {
		v := &w.servers[i]
		w.gauge(v)
		if v.fails == 0 {
			sent += float64(w.tally.sent[i])
			ability += v.ability
		}
	}
	least := -1.0
	for i := range w.servers {
		v := &w.servers[i]
		if v.fails > 0 || v.ability == 0 {
			continue
		}
		if share := float64(w.tally.sent[i]) / sent * ability / v.ability; least < 0 || share < least {
			least = share
		}
	}
	return least
}

// medians takes the median of each figure over the seeds.
func medians(runs []figures) figures {
	of := func(get func(f *figures) float64) float64 {
		v := make([]float64, len(runs))
		for i := range runs {
			v[i] = get(&runs[i])
		}
		slices.Sort(v)
		return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
	}
	return figures{
		P50:      of(func(f *figures) float64 { return f.P50 }),
		P90:      of(func(f *figures) float64 { return f.P90 }),
		P99:      of(func(f *figures) float64 { return f.P99 }),
		P999:     of(func(f *figures) float64 { return f.P999 }),
		Errors:   of(func(f *figures) float64 { return f.Errors }),
		TimeOuts: of(func(f *figures) float64 { return f.TimeOuts }),
		MinShare: of(func(f *figures) float64 { return f.MinShare }),
		Held:     of(func(f *figures) float64 { return f.Held }),
	}
}
