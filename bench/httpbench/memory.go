package httpbench

import (
	"context"
	"fmt"
	"math"
	"time"
)

const (
	// settle is how long an idle crowd stands while memory is watched; a slow one stands twice as
	// long.
	settle = 5 * time.Second
	// spareDescriptors is what a proxy needs besides those of the crowd.
	spareDescriptors = 300
	// healthyRate is that of the requests that go on beside slow clients.
	healthyRate = 500
)

// idleRow measures resident memory with many clients that have had an answer and stay connected.
func (r *run) idleRow(ctx context.Context) error {
	row := Row{ID: rowIdle, Name: fmt.Sprintf("memory, %d idle clients", r.o.Idle), Unit: "MB resident"}
	for _, v := range r.stage.proxies {
		r.bar.Say(row.Name + ": " + v.name)
		n := r.o.Idle
		if v == r.haproxy && n > r.stage.haproxyClients() {
			n = r.stage.haproxyClients() - 100
			r.note("%s had only %d idle clients: it wants two of the %d descriptors for each", haproxy, n, r.stage.descriptors)
		}
		got, err := r.crowded(ctx, v, task{Role: roleIdle, Target: v.plain, Path: smallFile, Size: 1 << 10, Conns: n}, nil)
		if err != nil {
			return err
		}
		row.Figures = append(row.Figures, Figure{Server: v.name, Value: got.resident})
		if v == r.self {
			row.Gates = append(row.Gates, residentGate(got.resident), openGate(got.open, r.o.Idle))
		} else if got.open < n {
			r.note("%s closed %d of %d idle clients", v.name, n-got.open, n)
		}
	}
	r.add(row)
	return nil
}

// slowRow measures the same with clients that send a byte a second, while healthy requests go on.
func (r *run) slowRow(ctx context.Context) error {
	row := Row{ID: rowSlow, Name: fmt.Sprintf("memory, %d slow clients", r.o.Slow), Unit: "MB resident"}
	for _, v := range r.stage.proxies {
		r.bar.Say(row.Name + ": " + v.name)
		var healthy loadResult
		got, err := r.crowded(ctx, v, task{Role: roleSlow, Target: v.plain, Conns: r.o.Slow}, func() error {
			return r.stage.result(task{Role: roleLoad, Target: v.plain, Path: smallFile, Size: 1 << 10, Conns: 16, Rate: healthyRate, For: 2 * r.settle()}, &healthy)
		})
		if err != nil {
			return err
		}
		row.Figures = append(row.Figures, Figure{Server: v.name, Value: got.resident})
		if v == r.self {
			failed := Gate{What: fmt.Sprintf("of %d healthy requests failed", healthy.Sent), Value: float64(healthy.Failed)}
			failed.judge()
			row.Gates = append(row.Gates, residentGate(got.resident), failed)
		}
		if healthy.Failed > 0 || got.open < r.o.Slow {
			r.note("%s with slow clients: %d of %d healthy requests failed (%s), %d of %d slow clients were closed",
				v.name, healthy.Failed, healthy.Sent, healthy.Error, r.o.Slow-got.open, r.o.Slow)
		}
	}
	r.add(row)
	return nil
}

func (r *run) settle() time.Duration {
	if r.o.Quick {
		return settle / 10
	}
	return settle
}

func residentGate(mb float64) Gate {
	g := Gate{What: "MB", Value: mb, Limit: maxResident}
	g.judge()
	return g
}

func openGate(open, want int) Gate {
	g := Gate{What: "connections kept", Value: float64(open), Limit: float64(want), AtLeast: true}
	g.judge()
	return g
}

// crowdSeen is what a crowd did to a proxy.
type crowdSeen struct {
	resident float64 // MB, the most
	open     int     // connections that the proxy still had in the end
}

// crowded starts the proxy anew, sends it a crowd, and watches its memory while during runs, or
// for a while.
func (r *run) crowded(ctx context.Context, v *server, t task, during func() error) (crowdSeen, error) {
	var seen crowdSeen
	if err := r.stage.start(ctx, v); err != nil {
		return seen, err
	}
	crowd, err := r.stage.role(t)
	if err != nil {
		return seen, err
	}
	defer r.stage.end(crowd)
	if _, err := crowd.line(); err != nil {
		return seen, err
	}
	done := make(chan error, 1)
	go func() {
		if during != nil {
			done <- during()
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(r.settle()):
		}
		done <- ctx.Err()
	}()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for running := true; running; {
		select {
		case err = <-done:
			running = false
		case <-tick.C:
		}
		u, usageErr := v.proc.usage()
		if usageErr != nil && err == nil {
			err = usageErr
		}
		seen.resident = math.Max(seen.resident, float64(u.resident)/(1<<20))
	}
	if err != nil {
		return seen, err
	}
	if err := crowd.stdin.Close(); err != nil {
		return seen, err
	}
	var last crowdResult
	err = crowd.read(&last)
	seen.open = last.Open
	return seen, err
}
