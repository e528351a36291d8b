package logins

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"switchpoint/bench/ldapserver"
	"switchpoint/bench/progress"
)

// run is one benchmark under way.
type run struct {
	o      Options
	stage  *stage
	bar    *progress.Bar
	report *Report
	first  int // number of the next login: users take turns over all runs
	seed   uint64
}

// Run starts everything, measures the parts, and removes everything again. With an error that is of some
// parts there is a report of the others.
func Run(ctx context.Context, o Options) (report *Report, err error) {
	r, err := begin(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.end()) }()
	for _, part := range []struct {
		name    string
		measure func(context.Context) error
	}{
		{partChain, r.chain}, {partJourneys, r.journeys}, {partLimit, r.limit}, {partLinear, r.linear}, {partSteps, r.steps},
		{partStorm, r.storm}, {partSlow, r.slow}, {partSoak, r.soak},
	} {
		if !slices.Contains(r.o.Parts, part.name) {
			continue
		}
		// A part that fails leaves the figures of the others.
		if failed := part.measure(ctx); failed != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", part.name, failed))
		}
		if ctx.Err() != nil {
			return nil, err
		}
	}
	return r.report, err
}

// begin starts the servers; end stops them.
func begin(ctx context.Context, o Options) (*run, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if _, err := raiseDescriptors(); err != nil {
		return nil, err
	}
	r := &run{o: o, bar: progress.New(o.Progress), report: newReport(), seed: 1}
	r.bar.Say("starting PostgreSQL and slapd")
	if r.stage, err = prepareStage(o.Self, o.Users); err == nil {
		err = r.serve(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, r.end())
	}
	return r, nil
}

func (r *run) serve(ctx context.Context) error {
	buffers := "512MB"
	if r.o.Quick {
		buffers = "64MB"
	}
	if err := r.stage.startServers(ctx, buffers); err != nil {
		return err
	}
	return r.describe(ctx)
}

func (r *run) end() error {
	r.bar.Clear()
	if r.stage == nil {
		return nil
	}
	return errors.Join(r.stage.keepLogs(r.o.Logs), r.stage.close())
}

// describe fills in what stands beside the figures.
func (r *run) describe(ctx context.Context) error {
	postgres, err := r.stage.pg.Version(ctx)
	if err != nil {
		return err
	}
	v := r.report.Versions
	v["postgresql"], v["slapd"] = postgres, ldapserver.Version(ctx)
	v["switchpoint"] = version(ctx, r.o.Self)
	r.report.Settings = []string{
		"all processes on this machine, on loopback addresses; nothing is pinned",
		fmt.Sprintf("%d users in slapd (mdb, {SSHA}, index on uid), searched and bound over LDAPS on connections that the broker keeps", r.o.Users),
		"PostgreSQL over TCP with fsync and synchronous_commit on; SQLite with synchronous=FULL",
		"lb to broker: HTTPS on kept connections; metrics on; log level warn; all else at its default",
		"clients: one of 127.64.0.0/10 for each user, one DNS query for each login, TLS 1.3 (X25519, ECDSA P-256) without resumption",
	}
	return nil
}

// version is what the program says of itself.
func version(ctx context.Context, self string) string {
	out, err := output(ctx, self, "version")
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(out, "\n")
	return strings.TrimPrefix(line, "switchpoint ")
}

// clientsOf are thin clients of a chain.
func (c *chain) clients() task {
	t := task{Role: roleClients, Users: c.stage.users, Name: steered, CA: c.stage.ca.CAFile(), TLS: !c.spec.plain, Key: true}
	if c.spec.alone {
		t.Targets = c.brokerAddrs
		return t
	}
	_, port, _ := net.SplitHostPort(c.lbAddr) // ports has made it
	t.DNS, t.Port = c.dnsAddr, port
	return t
}

// load plays a task in a process of its own and meters who used how much CPU meanwhile.
func (r *run) load(ctx context.Context, name string, t task, m meter) (*Measured, error) {
	return r.loadUntil(ctx, name, t, m, nil)
}

// loadUntil is load for a time that nobody knows: control is called when the first login is due, and
// when it returns no other one begins. nil: the task says when.
func (r *run) loadUntil(ctx context.Context, name string, t task, m meter, control func()) (*Measured, error) {
	t.First, t.Seed = r.first, r.seed
	r.seed++
	p, err := r.stage.client(t)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	stop := context.AfterFunc(ctx, func() { _ = p.cmd.Process.Kill() })
	defer stop()
	var ready loadReady
	if err := p.read(&ready); err != nil {
		return nil, err
	}
	all := meter{whoClients: func() (time.Duration, error) { return cpuOf(p.pid()) }}
	for who, ask := range m {
		all[who] = ask
	}
	before, err := all.read()
	if err != nil {
		return nil, err
	}
	out := &Measured{Name: name, Rate: t.Rate, Result: &Result{}, Began: time.Now()}
	if _, err := io.WriteString(p.stdin, "go\n"); err != nil {
		return nil, p.fault(err)
	}
	work := func() error { return p.read(out.Result) }
	if control != nil {
		work = func() error {
			control()
			if _, err := io.WriteString(p.stdin, "enough\n"); err != nil {
				return p.fault(err)
			}
			return p.read(out.Result)
		}
	}
	if err := r.watch(name, t, work); err != nil {
		return nil, errors.Join(ctx.Err(), err)
	}
	after, err := all.read()
	if err != nil {
		return nil, err
	}
	out.CPU = after.since(before)
	r.first += out.Offered
	return out, nil
}

// watch moves the bar until the work is done.
func (r *run) watch(name string, t task, work func() error) error {
	length := t.For
	if length == 0 && t.Rate > 0 {
		length = time.Duration(float64(t.Count) / t.Rate * float64(time.Second))
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		began := time.Now()
		for {
			took := int(time.Since(began).Seconds())
			r.bar.Step(name, min(took, int(length.Seconds())), int(length.Seconds()), paceOf(t))
			select {
			case <-done:
				return
			case <-time.After(time.Second):
			}
		}
	})
	err := work()
	close(done)
	wg.Wait()
	return err
}

// paceOf says how fast a task is.
func paceOf(t task) string {
	if t.Rate > 0 {
		return fmt.Sprintf("%.0f/s", t.Rate)
	}
	return fmt.Sprintf("%d clients", t.Clients)
}

// client starts a process for a task.
func (s *stage) client(t task) (*process, error) {
	text, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	// The clients share the cores with what they measure: they collect garbage less often.
	return launch(t.Role, s.log(t.Role), true, []string{"GOGC=400"}, s.self, "bench", "logins", "--task", string(text))
}

// keep adds a run to the report.
func (r *run) keep(v *Measured) *Measured {
	r.report.Runs = append(r.report.Runs, *v)
	return v
}

// profileFile is where a CPU profile goes, or "".
func (r *run) profileFile(name string) string {
	if r.o.Profiles == "" {
		return ""
	}
	return r.o.Profiles + string(os.PathSeparator) + name + ".pprof"
}
