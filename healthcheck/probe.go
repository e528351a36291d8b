package healthcheck

import (
	"context"
	"time"

	"switchpoint/internal/problem"
)

// prober asks one target once. Every prober returns within its time-out, or when ctx ends.
type prober func(ctx context.Context, address string) Result

// exchange is what the kinds differ in: it asks address and says in r how it went. ctx carries
// the deadline of the probe.
type exchange func(ctx context.Context, address string, r *Result)

// newProber is the one place that knows all kinds. m has its defaults.
func newProber(m Monitor, d *dialer) (prober, error) {
	var ask exchange
	var err error
	d = d.introduced(m)
	switch m.Kind {
	case "http":
		ask, err = newHTTP(m, d)
	case "https":
		ask, err = newHTTPS(m, d)
	case "tcp":
		ask, err = newTCP(m, d)
	case "tls":
		ask, err = newTLS(m, d)
	case "icmp":
		ask = newICMP(d)
	case "dns":
		ask, err = newDNS(m, d)
	case "ldap":
		ask, err = newLDAP(m, d)
	case "postgres":
		ask, err = newPostgres(m, d)
	case "xmlrpc":
		ask, err = newXMLRPC(m, d)
	case "agent":
		ask = newAgent(m, d)
	case "exec":
		ask = newExec(m)
	default:
		err = problem.Problem{Path: "kind", What: "the kind " + m.Kind + " does not exist"}
	}
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, address string) Result {
		start := time.Now()
		ctx, cancel := within(ctx, m, start)
		defer cancel()
		r := Result{State: Down, Load: noLoad}
		ask(ctx, m.atPort(address), &r)
		r.At = time.Now()
		r.Total = r.At.Sub(start)
		return r
	}, nil
}

// Probe asks address once as m says and tells every step. A monitor that is wrong gives a Down
// result with the fault as its reason.
func Probe(ctx context.Context, m Monitor, address string, settings Settings) Result {
	cfg := Config{Settings: settings, Monitors: []Monitor{m}, Checks: []Key{{Address: address, Monitor: m.Name}}}
	t, err := Compile(cfg)
	if err != nil {
		return Result{State: Down, Reason: "the monitor is wrong: " + err.Error(), Load: noLoad, At: time.Now()}
	}
	return t.monitors[m.Name].probe(ctx, address)
}
