package outage

import (
	"strings"
	"testing"
	"time"

	"switchpoint/broker/outage/mode"
	"switchpoint/internal/covers"
)

// TestOutageHoldDown: a database that comes and goes is held down after the third time, however well it
// answers, and the State says so; users sign in all the time (HC7).
func TestOutageHoldDown(t *testing.T) {
	covers.Req(t, "HC7")
	const hold = 6 * time.Second
	server := startServer(t)
	w := newWorldWith(t, &world{server: server, dsn: server.DSN, hold: hold})
	if _, err := w.cache.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := w.startCrowd(t)
	c.goOn(t, "users sign in")
	for n := 1; n <= w.profile.Flaps; n++ {
		c.enter(during)
		w.server.Pause()
		w.until(mode.HostCache, 30*time.Second)
		held := w.State().Hold
		if want := n == w.profile.Flaps; want == held.IsZero() {
			t.Errorf("lost %d times: held down until %s", n, held)
		}
		w.server.Resume()
		if n < w.profile.Flaps {
			w.until(mode.Normal, 60*time.Second)
			continue
		}
		eventually(t, "the database has answered for longer than it has to", 30*time.Second, func() bool {
			good := w.good()
			return !good.IsZero() && time.Since(good) > 2*w.profile.Stable
		})
		if s := w.State(); time.Now().Before(held) && (s.Mode != mode.HostCache || !strings.Contains(s.Reason, "lost 3 times")) {
			t.Errorf("before %s: %s: %s", held, s.Mode, s.Reason)
		}
		w.until(mode.Normal, hold+60*time.Second)
		if since := w.State().Since; since.Before(held) {
			t.Errorf("normal %s too early", held.Sub(since))
		}
	}
	c.enter(after)
	c.goOn(t, "users sign in as before")
	c.report(t, "lost three times")
}

// good is since when the database has answered every question.
func (w *world) good() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.facts.good
}

// TestOutageForcedOverTheDatabase: who is forced into the outage stays in it when the database goes and comes
// back, and over a restart, until the word's time is over; and a drill is not counted as a loss (HC7).
func TestOutageForcedOverTheDatabase(t *testing.T) {
	covers.Req(t, "HC7")
	w := newWorld(t)
	if _, err := w.cache.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.until(mode.Normal, 5*time.Second)
	c := w.startCrowd(t)
	c.goOn(t, "users sign in")
	if err := w.SetForce(t.Context(), &mode.Force{On: true, By: "anna", Why: "an upgrade"}); err != nil {
		t.Fatal(err)
	}
	w.until(mode.HostCache, 10*time.Second)
	if n := len(w.State().Outages); n > 0 {
		t.Errorf("a drill counts as %d losses", n)
	}
	c.enter(during)
	w.server.Kill()
	eventually(t, "the loss is noticed", 10*time.Second, func() bool { return w.good().IsZero() })
	c.goOn(t, "users sign in")
	w.server.Start()
	eventually(t, "the database has answered for longer than it has to", 60*time.Second, func() bool {
		good := w.good()
		return !good.IsZero() && time.Since(good) > 2*w.profile.Stable
	})
	if s := w.State(); s.Mode != mode.HostCache || s.Reason != "forced into the outage by anna: an upgrade" {
		t.Errorf("%s: %s", s.Mode, s.Reason)
	}
	c.report(t, "forced on")

	w.stop()
	w.open()
	w.join()
	w.until(mode.HostCache, 10*time.Second)
	if left := w.node.unmerged(); left == 0 {
		t.Error("the acts of the outage are merged while it lasts")
	}
	if err := w.SetForce(t.Context(), &mode.Force{On: true, By: "anna", Until: time.Now().Add(time.Second)}); err != nil {
		t.Fatal(err)
	}
	w.until(mode.Normal, 60*time.Second)
	if left := w.node.unmerged(); left > 0 {
		t.Errorf("%d acts are left", left)
	}
}
