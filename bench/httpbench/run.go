package httpbench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"switchpoint/bench/progress"
)

// Options says what is measured. Zero values mean the defaults.
type Options struct {
	Rows   []string      // of RowIDs; default all
	Rounds int           // in each of which every proxy is measured once; default 7
	Length time.Duration // of one measurement, whole seconds; default 3 s
	Idle   int           // idle clients; default 10,000
	Slow   int           // slow clients; default 5,000
	// Profiles is a folder for CPU profiles of ours, one for each CPU row; empty: none.
	Profiles string
	// Quick makes a run of some seconds whose figures mean nothing: a few rows, one round, few
	// clients, no warming up.
	Quick    bool
	Progress io.Writer // nil: nobody watches
}

func (o Options) withDefaults() Options {
	if o.Quick {
		o.Rounds, o.Length, o.Idle, o.Slow = 1, time.Second, 200, 100
		if len(o.Rows) == 0 {
			o.Rows = []string{"1k", "tls-new", rowLatency, rowStream, rowIdle, rowSlow}
		}
	}
	if len(o.Rows) == 0 {
		o.Rows = RowIDs()
	}
	if o.Rounds == 0 {
		o.Rounds = 7
	}
	if o.Length == 0 {
		o.Length = 3 * time.Second
	}
	if o.Idle == 0 {
		o.Idle = 10000
	}
	if o.Slow == 0 {
		o.Slow = 5000
	}
	return o
}

// Validate says what cannot be run.
func (o Options) Validate() error {
	for _, id := range o.Rows {
		if !slices.Contains(RowIDs(), id) {
			return fmt.Errorf("there is no row %q: take some of %s", id, strings.Join(RowIDs(), ", "))
		}
	}
	if o.Rounds < 0 || o.Length < 0 || o.Idle < 0 || o.Slow < 0 {
		return errors.New("rounds, length and numbers of clients cannot be negative")
	}
	if o.Length%time.Second != 0 {
		return errors.New("the length of a measurement is whole seconds: wrk knows no others")
	}
	return nil
}

// run is one benchmark under way.
type run struct {
	o        Options
	stage    *stage
	programs programs
	can      abilities
	self     *server
	haproxy  *server
	nginx    *server
	bar      *progress.Bar
	report   *Report
}

// Run starts the servers, measures the rows, and stops everything again.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	r := &run{o: o, report: &Report{Rounds: o.Rounds, Length: o.Length}, bar: progress.New(o.Progress)}
	defer r.bar.Clear()
	var err error
	if r.programs, err = findPrograms(); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the own binary: %w", err)
	}
	if r.stage, err = newStage(self); err != nil {
		return nil, err
	}
	defer r.stage.close()
	if need := uint64(max(o.Idle, o.Slow) + spareDescriptors); r.wantsCrowds() && need > r.stage.descriptors {
		return nil, fmt.Errorf("%d files may be open at once, the rows with many clients need %d: raise it with `ulimit -n`, or ask for fewer with --idle and --slow", r.stage.descriptors, need)
	}
	if err := r.begin(ctx); err != nil {
		return nil, err
	}
	if err := r.measure(ctx); err != nil {
		return nil, err
	}
	return r.report, nil
}

// begin writes the configurations and starts all servers.
func (r *run) begin(ctx context.Context) error {
	s := r.stage
	free, err := ports(11)
	if err != nil {
		return err
	}
	s.members, s.source = [2]string{free[0], free[1]}, free[2]
	s.upstream = &server{name: "upstream", plain: free[0], core: s.loadCore}
	r.self = &server{name: ours, plain: free[3], secure: free[4], streams: free[5]}
	r.haproxy = &server{name: haproxy, plain: free[6], secure: free[7], streams: free[8]}
	r.nginx = &server{name: nginx, plain: free[9], secure: free[10]}
	s.proxies = []*server{r.self, r.haproxy, r.nginx}
	if r.can, err = s.probeAbilities(ctx, r.self); err != nil {
		return err
	}
	if err := r.configure(); err != nil {
		return err
	}
	r.describe(ctx)
	for _, v := range append([]*server{s.upstream}, s.proxies...) {
		r.bar.Say("starting " + v.name)
		if err := s.start(ctx, v); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) configure() error {
	s := r.stage
	cert, err := os.ReadFile(s.cert)
	if err != nil {
		return err
	}
	key, err := os.ReadFile(s.key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.file("both.pem"), append(cert, key...), 0o600); err != nil {
		return err
	}
	for _, c := range []struct {
		v    *server
		text string
		argv []string
	}{
		{s.upstream, s.upstreamConfig(s.upstream), []string{r.programs.nginx, "-p", s.dir, "-e", "stderr", "-c"}},
		{r.nginx, s.nginxConfig(r.nginx), []string{r.programs.nginx, "-p", s.dir, "-e", "stderr", "-c"}},
		{r.haproxy, s.haproxyConfig(r.haproxy), []string{r.programs.haproxy, "-db", "-f"}},
		{r.self, s.ownConfig(r.self, r.can), []string{s.self, "run", "--until-eof", "-c"}},
	} {
		c.v.config = s.file(c.v.name + ".conf")
		c.v.argv = slices.Concat(c.argv, []string{c.v.config})
		if err := os.WriteFile(c.v.config, []byte(c.text), 0o600); err != nil {
			return err
		}
	}
	for _, v := range s.proxies {
		v.core = s.proxyCore
	}
	r.self.env = []string{"GOMAXPROCS=1"}
	r.self.socket = filepath.Join(s.file("state"), "admin.sock")
	return nil
}

// describe fills in what stands beside the figures.
func (r *run) describe(ctx context.Context) {
	s := r.stage
	r.report.Machine = fmt.Sprintf("%s, proxies on core %d, upstream and clients on core %d of %d", machine(), s.proxyCore, s.loadCore, runtime.NumCPU())
	r.report.Versions = map[string]string{
		ours:    version(ctx, "switchpoint ", s.self, "version"),
		haproxy: version(ctx, "version ", r.programs.haproxy, "-v"),
		nginx:   version(ctx, "nginx/", r.programs.nginx, "-v"),
		"wrk":   version(ctx, "wrk ", r.programs.wrk, "-v"),
	}
	if !r.can.accessLog {
		r.note("this build of %s has no access log, so it runs without one; its peers log one request in %d", ours, logSample)
	}
	if !r.can.tcp {
		r.note("this build of %s has no tcp mode, so that row is missing", ours)
	}
	if s.proxyCore == s.loadCore {
		r.note("one core for all: the figures are not comparable with those of two")
	}
}

// note keeps what stands below the table.
func (r *run) note(format string, args ...any) {
	r.report.Notes = append(r.report.Notes, fmt.Sprintf(format, args...))
}

// machine is the processor and the kernel.
func machine() string {
	cpu := runtime.GOARCH
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				cpu = strings.TrimSpace(value)
				break
			}
		}
	}
	if kernel, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		cpu += ", Linux " + strings.TrimSpace(string(kernel))
	}
	return cpu
}

func (r *run) wants(id string) bool { return slices.Contains(r.o.Rows, id) }

func (r *run) wantsCrowds() bool { return r.wants(rowIdle) || r.wants(rowSlow) }

// measure goes through the rows. Memory comes last: it needs proxies that were just started.
func (r *run) measure(ctx context.Context) error {
	for _, w := range workloads() {
		if r.wants(w.id) {
			if err := r.cpuRow(ctx, w); err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
		}
	}
	for _, row := range []struct {
		id string
		of func(context.Context) error
	}{{rowLatency, r.latencyRow}, {rowStream, r.streamRow}, {rowIdle, r.idleRow}, {rowSlow, r.slowRow}} {
		if r.wants(row.id) && (row.id != rowStream || r.can.tcp) {
			if err := row.of(ctx); err != nil {
				return fmt.Errorf("row %s: %w", row.id, err)
			}
		}
	}
	return nil
}

// turns calls f for each round and server. The order is turned around from round to round, so
// that a machine that gets slower or faster treats all alike.
func (r *run) turns(what string, servers []*server, f func(*server) error) error {
	for round := range r.o.Rounds {
		order := slices.Clone(servers)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for i, v := range order {
			r.bar.Step(what, round*len(order)+i+1, r.o.Rounds*len(order), v.name)
			if err := f(v); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *run) add(row Row) { r.report.Rows = append(r.report.Rows, row) }
