package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"time"

	"switchpoint/internal/keptfile"
	"switchpoint/internal/secret"
)

const (
	// Interval is the time between two heartbeats that brokers ask for.
	Interval     = 30 * time.Second
	maxInterval  = time.Hour
	firstWait    = time.Second
	longestWait  = time.Minute
	exchangeTime = 15 * time.Second
	resetTime    = 15 * time.Minute // of the reset command
	resetAgain   = 10 * time.Minute // after one that did not help
	keyFile      = "agent-key"
	maxKey       = 256
)

var (
	errURL   = errors.New("it is no URL of a broker")
	errPlain = errors.New("plain http is for loopback addresses only, as the key would be read on the way; use https")
	// errNoToken: there is no key yet and no token to get one with.
	errNoToken = errors.New("this desktop has no key yet; make a token with `switchpoint agent enrol-token` and give it to the agent")
)

func itoa(i int) string { return strconv.Itoa(i) }

// Options is what an agent consumes.
type Options struct {
	Config
	Version string
	// Sessions lists the sessions of users on this machine, Load says how busy it is, Uptime how long
	// it has been on. Nil: the operating system is asked.
	Sessions func(context.Context) ([]Session, error)
	Load     func() float64
	Uptime   func() (time.Duration, error)
	// Wait sleeps; nil: as long as it is told. Tests make it shorter.
	Wait func(ctx context.Context, d time.Duration) error
	Log  *slog.Logger
}

// Agent reports for one desktop.
type Agent struct {
	o      Options
	log    *slog.Logger
	links  *links
	key    string
	done   string // the reset that was done, until the broker does not ask for it any more
	tried  string // the reset that was tried last, and when
	at     time.Time
	failed int // exchanges in a row
}

// New reads the key of an earlier run. Nothing is sent before Run.
func New(o Options) (*Agent, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Desktop == "" {
		name, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("agent: find the host name: %w", err)
		}
		o.Desktop = name
	}
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	if o.Sessions == nil {
		o.Sessions = systemSessions
	}
	if o.Load == nil {
		o.Load = systemLoad()
	}
	if o.Uptime == nil {
		o.Uptime = systemUptime
	}
	if o.Wait == nil {
		o.Wait = wait
	}
	a := &Agent{o: o, log: o.Log}
	var err error
	if a.links, err = newLinks(o.Brokers, o.CA); err != nil {
		return nil, fmt.Errorf("agent: %w", err)
	}
	err = keptfile.Read(o.StateDir, keyFile, maxKey, func(b []byte) error {
		a.key = string(b)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("agent: read the key: %w", err)
	}
	return a, nil
}

// Run reports until ctx ends. It fails only where waiting does not help: without a key and a token, or
// with a token that is refused.
func (a *Agent) Run(ctx context.Context) error {
	defer a.links.close()
	// Machines that were switched on together do not report together.
	next := time.Duration(0)
	if a.key != "" {
		next = part(Interval / 3)
	}
	for {
		if err := a.o.Wait(ctx, next); err != nil {
			return nil
		}
		var err error
		if next, err = a.step(ctx); err != nil && ctx.Err() == nil {
			return fmt.Errorf("agent: %w", err)
		}
	}
}

// step is one exchange. It returns how long to wait for the next one; an error ends the agent.
func (a *Agent) step(ctx context.Context) (time.Duration, error) {
	var next time.Duration
	var err error
	if a.key == "" {
		next, err = a.enrol(ctx)
	} else {
		next, err = a.report(ctx)
	}
	if err == nil {
		if a.failed > 0 {
			a.log.Info("a broker answers again", "broker", a.links.current())
		}
		a.failed = 0
		return next, nil
	}
	var no *refusedError
	refused := errors.As(err, &no)
	switch {
	case ctx.Err() != nil:
		return 0, nil
	case errors.Is(err, errNoToken), refused && no.code == codeEnrolRefused:
		return 0, err
	case refused && no.code == codeUnknown && a.o.Token != "":
		a.log.Warn("the key is not known any more; enrolling again")
		a.key = ""
	}
	a.failed++
	next = backoff(a.failed, rand.Float64())
	if refused && no.retry > 0 {
		next = no.retry + part(no.retry)
	}
	if a.failed == 1 || a.failed%20 == 0 { // an outage is not a thousand lines
		a.log.Warn("no heartbeat", "broker", a.links.current(), "tries", a.failed, "error", err, "next", next.Round(time.Millisecond))
	}
	a.links.advance()
	return next, nil
}

// enrol takes the token for a key and keeps that.
func (a *Agent) enrol(ctx context.Context) (time.Duration, error) {
	if a.o.Token == "" {
		return 0, errNoToken
	}
	token, err := secret.Read(a.o.Token)
	if err != nil {
		return 0, err
	}
	var out EnrolResponse
	if err := a.links.call(ctx, PathEnrol, "", EnrolRequest{Token: token, Desktop: a.o.Desktop}, &out); err != nil {
		return 0, err
	}
	if err := keptfile.Write(a.o.StateDir, keyFile, []byte(out.Key)); err != nil {
		return 0, fmt.Errorf("the key could not be kept, and the token may be used up: %w", err)
	}
	a.key = out.Key
	a.log.Info("enrolled", "desktop", out.Desktop, "broker", a.links.current())
	return part(time.Second), nil // the desktop is on: say so soon
}

// report sends one heartbeat.
func (a *Agent) report(ctx context.Context) (time.Duration, error) {
	sessions, err := a.o.Sessions(ctx)
	if err != nil {
		return 0, fmt.Errorf("list the sessions: %w", err)
	}
	req := HeartbeatRequest{Version: a.o.Version, Address: a.o.Address, Load: a.o.Load(), Sessions: sessions[:min(len(sessions), MaxSessions)], ResetDone: a.done}
	if req.Sessions == nil {
		req.Sessions = []Session{}
	}
	var out HeartbeatResponse
	if err := a.links.call(ctx, PathHeartbeat, a.key, req, &out); err != nil {
		return 0, err
	}
	next := seconds(out.Interval, Interval)
	next += part(next/5) - next/10 // ten thousand of them spread out
	if out.Reset == nil {
		a.done = ""
		return next, nil
	}
	if out.Reset.ID == a.done || out.Reset.ID == a.tried && time.Since(a.at) < resetAgain {
		return next, nil
	}
	a.tried = out.Reset.ID
	if a.reset(ctx, *out.Reset) {
		a.done = out.Reset.ID
		next = part(time.Second) // tell the broker soon
	}
	a.at = time.Now()
	return next, nil
}

// reset does what the broker waits for, and says whether it is done.
func (a *Agent) reset(ctx context.Context, r Reset) bool {
	up, err := a.o.Uptime()
	if a.o.CleanBoot && err == nil && up < time.Duration(r.Age)*time.Second {
		a.log.Info("the broker waits for a reset: the machine has started clean since then", "reset", r.ID)
		return true
	}
	if len(a.o.ResetCommand) == 0 {
		a.log.Warn("the broker waits for a reset, and there is no reset_command", "reset", r.ID)
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, resetTime)
	defer cancel()
	a.log.Info("the broker waits for a reset: it begins", "reset", r.ID)
	cmd := exec.CommandContext(ctx, a.o.ResetCommand[0], a.o.ResetCommand[1:]...) //nolint:gosec // G204: the machine's own configuration
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		a.log.Error("the reset command failed", "reset", r.ID, "error", err)
		return false
	}
	a.log.Info("the reset is done", "reset", r.ID)
	return !a.o.CleanBoot // with it only the next start of the machine is a reset
}

// backoff is the wait after so many failures in a row; draw is from 0 to 1. At least half of it is
// random: agents that lost their broker at one moment come back over the whole wait.
func backoff(failures int, draw float64) time.Duration {
	longest := longestWait
	if failures <= 6 {
		longest = min(longestWait, firstWait<<failures)
	}
	return longest/10 + time.Duration(draw*float64(longest-longest/10))
}

// part is a random part of d.
func part(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d)
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
