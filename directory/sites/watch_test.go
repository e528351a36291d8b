package sites

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestNewNeedsOneSource(t *testing.T) {
	for _, o := range []Options{{}, {LDIF: "a", CSV: "b"}, {LDIF: "a", Config: &Config{URLs: []string{"ldaps://dc"}, BindDN: "x", BindPassword: "env:X"}}} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), "one source") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// TestWatchFiles follows an LDIF file, and a CSV file.
func TestWatchFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "export")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		o           Options
		first, next string
	}{
		"LDIF": {Options{LDIF: path}, smallLDIF, strings.ReplaceAll(smallLDIF, "10.0.0.0/8", "10.0.0.0/9")},
		"CSV":  {Options{CSV: path}, "Name,Site\n10.0.0.0/8,Prague\n", "Name,Site\n10.0.0.0/9,Prague\n"},
	} {
		write(tc.first)
		told := make(chan *Set, 1)
		tc.o.Refresh, tc.o.Changed = time.Millisecond, func(s *Set) { told <- s }
		w, err := New(tc.o)
		if err != nil {
			t.Fatal(err)
		}
		stop := start(t, w)
		if s := <-told; siteOf(s, "10.200.0.1") != "Prague" || s.Source() != path {
			t.Errorf("%s: %v", name, s.c)
		}
		write(tc.next)
		if s := <-told; siteOf(s, "10.200.0.1") != "" || siteOf(s, "10.1.0.1") != "Prague" {
			t.Errorf("%s, changed: %v", name, s.c)
		}
		write("broken")
		eventually(t, "the failure shows", func() bool { return strings.HasPrefix(w.Status().Failure, path+": ") })
		stop()
		if siteOf(w.Current(), "10.1.0.1") != "Prague" {
			t.Errorf("%s: a broken file cost the copy", name)
		}
	}
}

// TestWatchTimes tells when a Watcher asks, by the errors that it gets.
func TestWatchTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := mustSet(t, siteObj("Prague"), subnetObj("10.0.0.0/8", "Prague"))
		answers := []error{errors.New("down"), errors.New("down"), errors.New("down"), nil, errors.New("down"), ErrRefused, nil, nil}
		began := time.Now()
		var at []string
		w, err := New(Options{LDIF: "replaced", Refresh: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		w.read = func(context.Context) (*Set, error) {
			at = append(at, time.Since(began).String())
			answer := answers[0]
			if answers = answers[1:]; len(answers) == 0 {
				cancel()
				return nil, ctx.Err()
			}
			if answer != nil {
				return nil, answer
			}
			return set, nil
		}
		if err := w.Run(ctx); err != nil {
			t.Fatal(err)
		}
		// Doubling from 5 s; a refused account is not tried sooner than a good one.
		if got, want := fmt.Sprint(at), "[0s 5s 15s 35s 1m35s 1m40s 2m40s 3m40s]"; got != want {
			t.Errorf("polls at %s, want %s", got, want)
		}
		if w.Status().Failure != "" {
			t.Errorf("the end of the process counts as a failure: %s", w.Status().Failure)
		}
	})
}

// manual is a watcher whose polls the test makes itself.
func manual(t *testing.T, o Options) (w *Watcher, poll func(entries ...entry)) {
	t.Helper()
	o.LDIF = "replaced"
	w, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return w, func(entries ...entry) {
		t.Helper()
		w.read = func(context.Context) (*Set, error) { return newSet("test", time.Now(), entries, nil) }
		if err := w.poll(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func manySubnets(n int, site string) []entry {
	out := []entry{siteObj("A"), siteObj("B")}
	for i := range n {
		out = append(out, subnetObj(fmt.Sprintf("10.%d.0.0/16", i), site))
	}
	return out
}

func TestApproval(t *testing.T) {
	for name, tc := range map[string]struct {
		above, changes int
		waits          bool
	}{
		"default, at":   {0, 20, false},
		"default, over": {0, 21, true},
		"two, over":     {2, 3, true},
		"never":         {-1, 100, false},
	} {
		w, poll := manual(t, Options{ApproveAbove: tc.above})
		poll(manySubnets(100, "A")...)
		next := manySubnets(100, "A")
		copy(next[2:2+tc.changes], manySubnets(100, "B")[2:])
		poll(next...)
		changes, waits := w.Pending()
		if waits != tc.waits || waits && changes.Count() != tc.changes || (siteOf(w.Current(), "10.0.0.1") == "A") != tc.waits {
			t.Errorf("%s: waits = %v, %d changes", name, waits, changes.Count())
		}
	}

	w, poll := manual(t, Options{})
	poll(manySubnets(100, "A")...)
	poll(manySubnets(100, "B")...)
	seen, _ := w.Pending()
	poll(manySubnets(99, "B")...)
	if err := w.Approve(seen.ID()); err == nil || siteOf(w.Current(), "10.0.0.1") != "A" {
		t.Errorf("a change that nobody looked at was taken: %v", err)
	}
	poll(manySubnets(95, "A")...) // few enough to be taken: what waited is history
	if _, waits := w.Pending(); waits || len(w.Current().c.Subnets) != 95 {
		t.Errorf("%d subnets, waits = %v", len(w.Current().c.Subnets), waits)
	}
	poll(manySubnets(95, "B")...)
	if err := w.Approve(""); err != nil || siteOf(w.Current(), "10.0.0.1") != "B" {
		t.Errorf("Approve of whatever waits: %v", err)
	}
}

func TestCopyThatCannotBeKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	var log journal
	reg := prometheus.NewPedanticRegistry()
	w, poll := manual(t, Options{StateDir: dir, Log: log.logger(), Metrics: reg})
	poll(manySubnets(1, "A")...)
	poll(manySubnets(1, "A")...)
	if w.Current() == nil || !strings.Contains(w.Status().NotSaved, "no such file") || log.count("cannot be kept on disk") != 1 {
		t.Errorf("status %+v, told %d times", w.Status(), log.count("cannot be kept on disk"))
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	poll(manySubnets(1, "A")...)
	if w.Status().NotSaved != "" {
		t.Errorf("status %+v", w.Status())
	}
	if again, err := New(Options{LDIF: "x", StateDir: dir}); err != nil || again.Current() == nil || len(again.Current().c.Subnets) != 1 {
		t.Errorf("the copy of the next start: %v", err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("files: %v, %v", left, err)
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("metrics: %v, %v", problems, err)
	}
	if n := testutil.ToFloat64(w.metrics.good); n != 3 {
		t.Errorf("%v good polls", n)
	}
}

func TestErrorsDifferInMoreThanAPort(t *testing.T) {
	var log journal
	w, poll := manual(t, Options{Log: log.logger()})
	poll(manySubnets(1, "A")...)
	for i := range 3 {
		w.note(fmt.Errorf("read tcp 127.0.0.1:%d->127.0.0.1:389: connection reset", 40000+i))
	}
	w.note(errors.New("another fault"))
	if reset, other := log.count("connection reset"), log.count("another fault"); reset != 1 || other != 1 {
		t.Errorf("told %d and %d times", reset, other)
	}
}
