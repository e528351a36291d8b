package hostcache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"switchpoint/broker"
	"switchpoint/broker/sqlite"
	"switchpoint/internal/covers"
	"switchpoint/internal/realserver"
)

// onBothStores runs a test with a small cluster on each store.
func onBothStores(t *testing.T, test func(*testing.T, store)) {
	t.Run("sqlite", func(t *testing.T) {
		s := embedded(t)
		fill(t, s, company(5, 5))
		test(t, s)
	})
	t.Run("postgres", func(t *testing.T) {
		s := openPostgres(t, realserver.Postgres(t, realserver.PostgresOptions{Settings: map[string]string{"fsync": "off"}}).DSN)
		fill(t, s, company(5, 5))
		test(t, s)
	})
}

// opened opens the newest file, and gives it back at the end.
func opened(t *testing.T, c *Cache) *sqlite.Store {
	t.Helper()
	s, _, err := c.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		c.Release()
	})
	return s
}

// files are the names in the folder of c.
func files(t *testing.T, c *Cache) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(c.o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestSync: what changes is copied anew, to another file under the name of which it counts at once; what
// goes on all day only refreshes the state; nothing else is copied (HC4). Each time the file is made from
// nothing, so no damage outlives an update (HC2).
func TestSync(t *testing.T) {
	covers.Req(t, "HC2", "HC4")
	if DefaultEvery != 2*time.Minute {
		t.Errorf("changes are looked for every %s", DefaultEvery)
	}
	onBothStores(t, func(t *testing.T, s store) {
		var log bytes.Buffer
		reg := prometheus.NewPedanticRegistry()
		c := newCache(t, s, func(o *Options) {
			o.Log, o.Metrics = slog.New(slog.NewTextHandler(&log, nil)), reg
			o.Check = func(s broker.Setup) error { return s.Validate(nil, "uk") }
		})
		first := mustSync(t, c, Updated)
		if first.Quarantined != 0 || first.Rows["desktop"] != 10 || first.Rows["assignment"] != 5 {
			t.Errorf("%+v", first)
		}
		for _, want := range []string{"event_id=503", "event_id=504"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("no %s in\n%s", want, &log)
			}
		}
		before, err := os.Stat(filepath.Join(c.o.Dir, "cache-1.db"))
		if err != nil {
			t.Fatal(err)
		}
		if out := mustSync(t, c, Current); out.Version != first.Version {
			t.Errorf("%+v after %+v", out, first)
		}
		anna := signIn(t, s, "anna")
		if out := mustSync(t, c, Current); out.Rows["claim"] != 1 || out.Rows["session"] != 1 {
			t.Errorf("rows %v", out.Rows)
		}
		if after, err := os.Stat(filepath.Join(c.o.Dir, "cache-1.db")); err != nil || !os.SameFile(before, after) {
			t.Error("nothing has changed, and there is another file", err)
		}
		for range 3 {
			fill(t, s, company(6, 5))
			mustSync(t, c, Updated)
		}
		if got := files(t, c); !reflect.DeepEqual(got, []string{"cache-3.db", "cache-4.db"}) {
			t.Errorf("files %v", got)
		}
		if n := testutil.CollectAndCount(reg, "switchpoint_hostcache_rows"); n == 0 {
			t.Error("no rows in the metrics")
		}
		if st := c.Status(); !st.Usable || st.Rows["desktop"] != 11 || st.Result != Updated || st.Took <= 0 {
			t.Errorf("status %+v", st)
		}
		cache := opened(t, c)
		if got, err := cache.Session(t.Context(), tokenOf("anna")); err != nil || got.ID != anna.ID {
			t.Errorf("the session of before: %+v, %v", got, err)
		}
		sameAnswers(t, cache, s)
	})
}

// sameAnswers asks both for everything that a login needs.
func sameAnswers(t *testing.T, cache, source store) {
	t.Helper()
	want, version, err := source.Setup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, v, err := cache.Setup(t.Context()); err != nil || v != version || !reflect.DeepEqual(got, want) {
		t.Errorf("setup %d %+v, %v, want %d %+v", v, got, err, version, want)
	}
	for _, user := range []string{"user000000", "user000005", "anna", "nobody"} {
		q := broker.OfferQuery{Who: local(user), Grants: []broker.Grant{{Pool: "pool", MaxOffers: 2}}}
		want, err := source.Offers(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		got, err := cache.Offers(t.Context(), q)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("offers of %s: %+v, %v, want %+v", user, got, err, want)
		}
		for _, o := range want {
			if o.Kind != broker.KindAssigned && o.State != broker.OfferRunning {
				continue
			}
			session := broker.Session{Who: q.Who, Grants: q.Grants}
			theirs, err1 := source.Candidates(t.Context(), session, o.ID, 1)
			ours, err2 := cache.Candidates(t.Context(), session, o.ID, 1)
			if err1 != nil || err2 != nil || !reflect.DeepEqual(ours, theirs) {
				t.Errorf("desktop of %s: %+v, %v, want %+v, %v", user, ours, err2, theirs, err1)
			}
		}
	}
}

// TestState: after each refresh the file has the sessions and claims that the database has, whatever
// became of them: users come, go, come back and take each other's desktops.
func TestState(t *testing.T) {
	onBothStores(t, func(t *testing.T, s store) {
		c := newCache(t, s, nil)
		mustSync(t, c, Updated)
		users := []string{"anna", "bert", "carl", "dora"}
		sessions := make(map[string]broker.Session)
		for round := range 6 {
			for i, u := range users {
				if in, ok := sessions[u]; ok && (round+i)%3 != 0 {
					if _, err := s.Logout(t.Context(), in.ID, row(broker.LogLogout)); err != nil {
						t.Fatal(err)
					}
					delete(sessions, u)
				} else if !ok {
					sessions[u] = signIn(t, s, u+strings.Repeat("x", round))
				}
			}
			out := mustSync(t, c, Current)
			f, _, _, _ := c.now.get()
			file, err := sqlite.Open(t.Context(), f.path, sqlite.Options{})
			if err != nil {
				t.Fatal(err)
			}
			ours, theirs := &rows{}, &rows{}
			if err := errors.Join(file.CopyState(t.Context(), ours), s.CopyState(t.Context(), theirs)); err != nil {
				t.Fatal(err)
			}
			if len(theirs.all) == 0 || !reflect.DeepEqual(ours.all, theirs.all) {
				t.Errorf("round %d: the file has %v, the database %v", round, ours.all, theirs.all)
			}
			if out.Quarantined != 0 {
				t.Errorf("%+v", out)
			}
			if err := file.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := sqlite.InspectCache(t.Context(), f.path, true); err != nil {
				t.Error(err)
			}
		}
	})
}

// rows is a sink that keeps rows by table and key.
type rows struct{ all map[string][]any }

func (r *rows) Begin() error {
	r.all = make(map[string][]any)
	return nil
}

func (r *rows) Row(t *broker.CacheTable, values []any) error {
	key := t.Name
	for _, v := range values[:t.Key] {
		key += fmt.Sprint("/", v)
	}
	r.all[key] = append([]any(nil), values...)
	return nil
}

// broken is a source that does not answer as it should.
type broken struct {
	store
	version func() error
	edit    func(t *broker.CacheTable, values []any) error // of every row
	more    func(broker.CacheSink) error                   // at the end
}

func (b *broken) CacheVersion(ctx context.Context) (broker.CacheVersion, error) {
	if b.version != nil {
		if err := b.version(); err != nil {
			return broker.CacheVersion{}, err
		}
	}
	return b.store.CacheVersion(ctx)
}

func (b *broken) CopyCache(ctx context.Context, to broker.CacheSink) (broker.CacheVersion, error) {
	v, err := b.store.CopyCache(ctx, &editor{to, b.edit})
	if err == nil && b.more != nil {
		err = b.more(to)
	}
	return v, err
}

type editor struct {
	broker.CacheSink
	edit func(t *broker.CacheTable, values []any) error
}

func (e *editor) Row(t *broker.CacheTable, values []any) error {
	if e.edit != nil {
		if err := e.edit(t, values); err != nil {
			return err
		}
	}
	return e.CacheSink.Row(t, values)
}

// TestFailed: a copy that breaks off, a setup that cannot be read and one that no broker could serve
// with leave what was there, with the error in log, status and metrics. So does a database that is away.
func TestFailed(t *testing.T) {
	s := embedded(t)
	fill(t, s, company(2, 2))
	source := &broken{store: s}
	var log bytes.Buffer
	refuse := error(nil)
	reg := prometheus.NewPedanticRegistry()
	c := newCache(t, source, func(o *Options) {
		o.Log, o.Metrics = slog.New(slog.NewTextHandler(&log, nil)), reg
		o.Check = func(broker.Setup) error { return refuse }
	})
	mustSync(t, c, Updated)
	fill(t, s, company(3, 2))
	gone := errors.New("the line is cut")
	for name, prepare := range map[string]func(){
		"broken off": func() {
			source.edit = func(t *broker.CacheTable, _ []any) error {
				if t.Name == "assignment" {
					return gone
				}
				return nil
			}
		},
		"setup unreadable": func() {
			source.edit = func(t *broker.CacheTable, values []any) error {
				if t.Name == "setup" {
					values[2] = `{"Directories": [`
				}
				return nil
			}
		},
		"setup of no use": func() { refuse = errors.New("secret cannot be read") },
	} {
		source.edit, refuse = nil, nil
		prepare()
		log.Reset()
		out, err := c.Sync(t.Context())
		if err == nil || out.Result != Failed || c.Status().Error == "" || !c.Status().Usable {
			t.Errorf("%s: %+v, %v, %+v", name, out, err, c.Status())
		}
		if !strings.Contains(log.String(), "event_id=505") || !strings.Contains(log.String(), err.Error()[:20]) {
			t.Errorf("%s: the log says\n%s", name, &log)
		}
		if got := files(t, c); !reflect.DeepEqual(got, []string{"cache-1.db"}) {
			t.Errorf("%s: files %v", name, got)
		}
	}
	source.edit, refuse = nil, nil
	source.version = func() error { return broker.ErrUnavailable }
	log.Reset()
	for range 3 {
		if out, err := c.Sync(t.Context()); !errors.Is(err, broker.ErrUnavailable) || out.Result != Unavailable {
			t.Errorf("%+v, %v", out, err)
		}
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 || strings.Contains(log.String(), "event_id") {
		t.Errorf("a database that is away is told once:\n%s", &log)
	}
	source.version = nil
	if out := mustSync(t, c, Updated); out.Rows["desktop"] != 5 {
		t.Errorf("%+v", out)
	}
	const failed = `switchpoint_hostcache_syncs_total{result="failed"} 3`
	if text := gathered(t, reg); !strings.Contains(text, failed) || !strings.Contains(text, "switchpoint_hostcache_usable 1") {
		t.Errorf("metrics\n%s", text)
	}
}

func gathered(t *testing.T, reg *prometheus.Registry) string {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, f := range families {
		for _, m := range f.GetMetric() {
			out.WriteString(f.GetName())
			for i, l := range m.GetLabel() {
				out.WriteString(map[bool]string{true: "{", false: ","}[i == 0] + l.GetName() + `="` + l.GetValue() + `"`)
			}
			if len(m.GetLabel()) > 0 {
				out.WriteString("}")
			}
			fmt.Fprintf(&out, " %v\n", m.GetGauge().GetValue()+m.GetCounter().GetValue())
		}
	}
	return out.String()
}

// TestEmpty: a database without a setup is no reason for an alarm, and nothing to serve with.
func TestEmpty(t *testing.T) {
	c := newCache(t, embedded(t), nil)
	mustSync(t, c, Empty)
	if _, _, err := c.Open(t.Context()); !errors.Is(err, ErrNone) {
		t.Errorf("%v", err)
	}
	if st := c.Status(); st.Usable || st.Why == "" || st.Serving {
		t.Errorf("%+v", st)
	}
}
