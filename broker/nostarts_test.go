package broker_test

import (
	"context"
	"slices"
	"testing"

	"switchpoint/broker"
	"switchpoint/internal/covers"
)

// startless is a store as it is without its database: desktops are not started.
type startless struct{ broker.Store }

func (startless) StartTargets(context.Context, []string) ([]broker.StartTarget, error) {
	return nil, broker.ErrNoStarts
}

// TestNoStartsWithoutTheDatabase: a desktop that is off stays off while the database is away (HC8, LS8). That is
// said of the desktop; the broker works, and must not be taken for one that does not.
func TestNoStartsWithoutTheDatabase(t *testing.T) {
	covers.Req(t, "HC8", "LS8")
	t.Parallel()
	host, port := desktopHost(t, false)
	h := newHypervisor(t, func() { t.Error("it was started") })
	b := newCluster(t).start(1, func(o *broker.Options) { o.Store = startless{o.Store} })
	s := localSetup(t)
	s.Powers = []broker.Power{{Name: "hook", Kind: broker.PowerHTTP, URL: h.URL + "/vm/{desktop}/start"}}
	s.Desktops = []broker.Desktop{{Name: "off", Pool: "own", Host: host, Port: port}}
	s.DesktopPools[0].Power = "hook"
	s.Assignments = []broker.Assignment{{User: "u0", Desktop: "off"}}
	b.fill(t, s)
	in := b.Login(t.Context(), login("u0", "p"))
	_, err := b.Connect(t.Context(), broker.ConnectRequest{Token: in.Token, Offer: in.Offers[0].ID.String()})
	refused, _ := err.(*broker.Refusal)
	if code(refused) != broker.CodeUnreachable {
		t.Fatalf("%+v", refused)
	}
	const why = "no desktop answered within 500ms, and desktops are not started without the database"
	if row, err := b.ExplainRef(t.Context(), refused.Ref); err != nil || !slices.Contains(row.Reason, why) {
		t.Errorf("log row %+v, %v", row, err)
	}
	if a := b.Alive(); a.Status != 200 {
		t.Errorf("is_alive: %+v", a)
	}
}
