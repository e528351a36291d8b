package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"switchpoint/gtm"
	"switchpoint/healthcheck/isalive"
	"switchpoint/lb"
)

// watchEvery is how often the farm is looked at from each side.
const watchEvery = 100 * time.Millisecond

// watch looks at the farm all the time as gtm, lb and the probes of its brokers see it, and finds the
// moment at which nobody is there.
type watch struct {
	f     *farm
	mu    sync.Mutex
	views map[string]*view
}

// view is what was seen from one side.
type view struct {
	looks, blind, fewest int
	when                 time.Time // of the fewest
	empty                []string
}

// startWatch watches until the test ends, and then says what it saw.
func (f *farm) startWatch(t *testing.T) {
	t.Helper()
	w := &watch{f: f, views: make(map[string]*view)}
	ctx, cancel := context.WithCancel(context.Background())
	began := time.Now()
	var wg sync.WaitGroup
	for name, look := range map[string]func(context.Context) (int, error){
		"is_alive of the brokers":  f.alive,
		"is_alive of the balancer": f.aliveAtLB,
		"members of the balancer":  f.members,
		"gtm: " + brokersName:      func(ctx context.Context) (int, error) { return f.steered(ctx, brokersName) },
		"gtm: " + farmName:         func(ctx context.Context) (int, error) { return f.steered(ctx, farmName) },
		"DNS: " + farmName:         f.resolved,
	} {
		wg.Go(func() { w.keep(ctx, name, look) })
	}
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		for name, v := range w.views {
			t.Logf("%-26s %5d looks, never fewer than %d (%s after the start), %d without an answer", name, v.looks, v.fewest, v.when.Sub(began).Round(100*time.Millisecond), v.blind)
			for _, moment := range v.empty {
				t.Errorf("%s: nobody was there at %s", name, moment)
			}
			if v.looks < 10*max(v.blind, 1) {
				t.Errorf("%s: %d of %d looks saw nothing", name, v.blind, v.looks)
			}
		}
	})
}

func (w *watch) keep(ctx context.Context, name string, look func(context.Context) (int, error)) {
	v := &view{fewest: clusterSize}
	w.mu.Lock()
	w.views[name] = v
	w.mu.Unlock()
	for ; ctx.Err() == nil; pause(ctx, watchEvery) {
		once, cancel := context.WithTimeout(ctx, 5*time.Second)
		n, err := look(once)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			v.blind++
		case n == 0 && len(v.empty) < 5:
			v.empty = append(v.empty, time.Now().Format(time.TimeOnly))
		}
		if v.looks++; err == nil && n < v.fewest {
			v.fewest, v.when = n, time.Now()
		}
	}
}

// alive is how many brokers say that they can be given logins.
func (f *farm) alive(ctx context.Context) (n int, err error) {
	for _, api := range f.api {
		if ok, ask := probe(ctx, api); ask != nil {
			err = ask
		} else if ok {
			n++
		}
	}
	if n > 0 {
		err = nil
	}
	return n, err
}

// probe asks the page that monitors ask.
func probe(ctx context.Context, address string) (bool, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/index.pl?action=is_alive", nil)
	if err != nil {
		return false, err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode == http.StatusOK && strings.Contains(string(text), isalive.BodyOK), err
}

func (f *farm) aliveAtLB(ctx context.Context) (int, error) {
	ok, err := probe(ctx, f.front)
	if ok {
		return 1, err
	}
	return 0, err
}

// lbMembers are the brokers as the balancer sees them, by site id from 1.
func (f *farm) lbMembers(ctx context.Context) ([]lb.MemberStatus, error) {
	var s lb.Status
	if err := ask(ctx, f.lb.socket, http.MethodGet, "lb/status", nil, &s); err != nil {
		return nil, err
	}
	if len(s.Pools) != 1 || len(s.Pools[0].Members) != clusterSize {
		return nil, fmt.Errorf("pools %+v", s.Pools)
	}
	return s.Pools[0].Members, nil
}

func (f *farm) members(ctx context.Context) (n int, err error) {
	list, err := f.lbMembers(ctx)
	for _, m := range list {
		if m.Takes && m.State == "up" {
			n++
		}
	}
	return n, err
}

// steered is how many members of a name may be answered because they are up.
func (f *farm) steered(ctx context.Context, name string) (n int, err error) {
	var s gtm.Status
	if err := ask(ctx, f.gtm.socket, http.MethodGet, "gtm/status?name="+name, nil, &s); err != nil {
		return 0, err
	}
	if len(s.Names) != 1 || len(s.Names[0].Pools) != 1 {
		return 0, fmt.Errorf("names %+v", s.Names)
	}
	if s.Names[0].Policy != "" {
		return 0, nil // it answers though all are down
	}
	for _, m := range s.Names[0].Pools[0].Members {
		if m.Serving {
			n++
		}
	}
	return n, nil
}

// resolved is how many addresses users are given.
func (f *farm) resolved(ctx context.Context) (int, error) {
	r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, f.dns)
	}}
	list, err := r.LookupNetIP(ctx, "ip4", farmName+".")
	return len(list), err
}
