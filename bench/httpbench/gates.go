package httpbench

import "switchpoint/bench/quantile"

// paired compares the runs of two servers that stood side by side.
func paired(a, b []float64, compare func(a, b float64) float64) []float64 {
	out := make([]float64, 0, len(a))
	for i := range min(len(a), len(b)) {
		out = append(out, compare(a[i], b[i]))
	}
	return out
}

func ratio(a, b float64) float64      { return a / b }
func difference(a, b float64) float64 { return a - b }

// pairGate holds the median of comparisons against a limit.
func pairGate(what string, pairs []float64, limit float64, atLeast bool) Gate {
	g := Gate{What: what, Value: quantile.Median(pairs), Limit: limit, Low: quantile.Of(pairs, .25), High: quantile.Of(pairs, .75), AtLeast: atLeast}
	g.judge()
	return g
}

// judge sets Holds. A value that is no number holds nowhere.
func (g *Gate) judge() {
	if g.AtLeast {
		g.Holds = g.Value >= g.Limit
	} else {
		g.Holds = g.Value <= g.Limit
	}
}

func figure(server string, runs []float64) Figure {
	return Figure{Server: server, Value: quantile.Median(runs), Runs: runs}
}
