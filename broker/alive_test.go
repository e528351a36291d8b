package broker_test

import (
	"net/http"
	"testing"

	"switchpoint/broker"
	"switchpoint/internal/covers"
)

// TestAliveByMode: with is_alive = "serving" a broker that serves without its database is alive (DC5), with
// "backend" it is not (AL2); one that refuses is not, and says to balancers that it steps aside.
func TestAliveByMode(t *testing.T) {
	t.Parallel()
	covers.Req(t, "AL2", "DC5")
	type stand struct{ mode, refuses string }
	for _, tc := range []struct {
		page  string
		stand stand
		want  int
		says  string
	}{
		{broker.AliveServing, stand{"normal", ""}, http.StatusOK, "normal"},
		{broker.AliveServing, stand{"hostcache", ""}, http.StatusOK, "hostcache"},
		{broker.AliveServing, stand{"leased", ""}, http.StatusOK, "leased"},
		{broker.AliveServing, stand{"recovering", ""}, http.StatusOK, "recovering"},
		{broker.AliveServing, stand{"draining", "broker 2 has the database"}, http.StatusServiceUnavailable, "draining"},
		{broker.AliveServing, stand{"hostcache", "broker 2 is elected"}, http.StatusServiceUnavailable, "draining"},
		{broker.AliveBackend, stand{"normal", ""}, http.StatusOK, "normal"},
		{broker.AliveBackend, stand{"hostcache", ""}, http.StatusServiceUnavailable, "hostcache"},
		{broker.AliveBackend, stand{"leased", ""}, http.StatusServiceUnavailable, "leased"},
		{broker.AliveBackend, stand{"recovering", ""}, http.StatusOK, "recovering"},
	} {
		t.Run(tc.page+" "+tc.stand.mode+" "+tc.stand.refuses, func(t *testing.T) {
			b := newCluster(t).start(1, func(o *broker.Options) {
				o.Config.IsAlive = tc.page
				o.Outage = func() (string, string) { return tc.stand.mode, tc.stand.refuses }
			})
			if _, err := b.Apply(t.Context(), broker.Setup{}, false, "test"); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it answers so", func() bool { a := b.Alive(); return a.Status == tc.want && a.Mode == tc.says })
			if why := b.NotServing(); (why == "") != (tc.want == http.StatusOK) {
				t.Errorf("%d, and why: %q", tc.want, why)
			}
		})
	}
}
