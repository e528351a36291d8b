package jobs

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/sqlite"
)

// childEnv makes the test binary a broker process of the cluster in the database there.
const childEnv = "SWITCHPOINT_JOBS_CHILD"

// childLease is short, so that the test does not last for the minute that a real one may be away.
const childLease = 2 * time.Second

// child works as site id 2 until it is told to end, and prints what happens to its runs.
func child(path string) int {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	if err := childWork(ctx, path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func childWork(ctx context.Context, path string) error {
	s, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	m, err := join(ctx, s, 2)
	if err != nil {
		return err
	}
	var alone sync.RWMutex
	o := options(&guarded{Store: s, alone: &alone}, m)
	o.Lease = childLease
	w, err := New(o)
	if err != nil {
		return err
	}
	w.Handle("work", func(ctx context.Context, j broker.Job) (string, error) {
		fmt.Println("begins", j.Run)
		if j.Target == "stop" {
			// Between two transactions: what holds the lock of the database file stops everybody.
			for own := 0; own != 1; time.Sleep(time.Millisecond) {
				running, err := s.Jobs(ctx, broker.JobFilter{States: []broker.JobState{broker.JobRunning}, Site: 2})
				if own = len(running); err != nil {
					return "", err
				}
			}
			alone.Lock()
			err := syscall.Kill(os.Getpid(), syscall.SIGSTOP)
			alone.Unlock()
			if err != nil {
				return "", err
			}
		}
		<-ctx.Done()
		fmt.Println("ends", j.Run, context.Cause(ctx))
		return "", ctx.Err()
	})
	return w.Run(ctx)
}

// guarded keeps calls of the worker and somebody who must be alone apart.
type guarded struct {
	broker.Store
	alone *sync.RWMutex
}

func (g *guarded) ClaimJobs(ctx context.Context, q broker.JobClaim) (broker.ClaimedJobs, error) {
	g.alone.RLock()
	defer g.alone.RUnlock()
	return g.Store.ClaimJobs(ctx, q)
}

func (g *guarded) RenewJobs(ctx context.Context, m broker.Membership, r []broker.JobRun, lease time.Duration) (broker.JobRenewal, error) {
	g.alone.RLock()
	defer g.alone.RUnlock()
	return g.Store.RenewJobs(ctx, m, r, lease)
}

func (g *guarded) EndJobs(ctx context.Context, m broker.Membership, e []broker.JobEnd) ([]broker.JobRun, error) {
	g.alone.RLock()
	defer g.alone.RUnlock()
	return g.Store.EndJobs(ctx, m, e)
}

// TestStoppedProcess stops a broker that runs a job, as by SIGSTOP: another broker takes it over, and
// the first one knows as soon as it goes on, and works again.
func TestStoppedProcess(t *testing.T) {
	c := newCluster(t)
	one := c.start(1, func(context.Context, broker.Job) (string, error) { return "done", nil }, nil)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+c.path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		for scan := bufio.NewScanner(out); scan.Scan(); {
			lines <- scan.Text()
		}
	}()
	read := func(want string) {
		t.Helper()
		select {
		case line := <-lines:
			if !strings.HasPrefix(line, want) {
				t.Fatalf("the process says %q, want %q", line, want)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("the process does not say %q", want)
		}
	}
	id := one.add(t, broker.NewJob{Target: "stop", For: 2})
	read("begins 1")
	stopped := time.Now()
	eventually(t, "the run is taken back", func() bool { return one.job(t, id).State == broker.JobPending })
	if took := time.Since(stopped); took < childLease/2 {
		t.Errorf("the run was taken back after %v, before its lease was over", took)
	}
	if n, err := one.store.ReassignJobs(t.Context(), 2, 1); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	if j := one.awaitState(t, id, broker.JobFinished); j.RunBy != 1 || j.Run != 2 {
		t.Errorf("%+v", j)
	}
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	read("ends 1 " + errLost.Error())
	if j := one.job(t, id); j.State != broker.JobFinished || j.RunBy != 1 || j.Result != "done" {
		t.Errorf("the process that was stopped has changed it: %+v", j)
	}
	next := one.add(t, broker.NewJob{For: 2})
	read("begins 1")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	read("ends 1 " + errStopping.Error())
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if j := one.job(t, next); j.State != broker.JobPending || j.For != 2 {
		t.Errorf("what was in flight when it ended: %+v", j)
	}
}

// TestReclaimTime: what the defaults promise (DC2).
func TestReclaimTime(t *testing.T) {
	if longest := DefaultLease + DefaultPoll; longest > 10*time.Second {
		t.Errorf("a dead broker keeps its jobs for up to %v", longest)
	}
}
