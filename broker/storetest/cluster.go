package storetest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"switchpoint/broker"
)

func node(site int, name string) broker.Node {
	return broker.Node{Name: name, Datacenter: "uk", Version: "1", SiteID: site, Booted: time.UnixMilli(1_700_000_000_000).UTC()}
}

func cluster(b byte) broker.Cluster { return broker.Cluster{Name: "uk", Secret: [32]byte{b, 2, 3}} }

const live = time.Minute

func testJoin(t *testing.T, b *bench) {
	one := must(b.Join(ctx(t), node(1, "a"), cluster(1), live))(t)
	two := must(b.handle().Join(ctx(t), node(2, "b"), cluster(9), live))(t)
	if one.Cluster != cluster(1) || two.Cluster != cluster(1) {
		t.Errorf("the first broker's secret must win for all: %v, %v", one, two)
	}
	if _, err := b.Join(ctx(t), node(1, "c"), cluster(1), live); !errors.Is(err, broker.ErrConflict) {
		t.Errorf("a site id of a live broker was given away: %v", err)
	}
	if _, err := b.Join(ctx(t), node(3, "d"), broker.Cluster{Name: "us"}, live); !errors.Is(err, broker.ErrConflict) {
		t.Errorf("a broker of another cluster was let in: %v", err)
	}
	if err := b.Leave(ctx(t), two); err != nil {
		t.Fatal(err)
	}
	if m, err := b.Join(ctx(t), node(2, "c"), cluster(1), live); err != nil || m.Epoch <= two.Epoch {
		t.Errorf("the site id of a stopped broker must be free: %v, %v", m, err)
	}
	list := must(b.Brokers(ctx(t)))(t)
	if len(list) != 2 || list[0].Node != node(1, "a") || list[1].Name != "c" || list[1].Stopped || list[0].Age > live {
		t.Errorf("list of brokers: %+v", list)
	}
}

// testJoinAtOnce starts many brokers on an empty database: one secret, no double site id.
func testJoinAtOnce(t *testing.T, b *bench) {
	const n = 8
	handles := [2]Store{b.Store, b.handle()}
	got := make([]broker.Membership, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			m, err := handles[i%2].Join(ctx(t), node(i+1, "n"), cluster(byte(i)), live)
			if err != nil {
				t.Error(err)
			}
			got[i] = m
		})
	}
	wg.Wait()
	for _, m := range got {
		if m.Cluster != got[0].Cluster {
			t.Fatalf("two secrets: %v and %v", m.Cluster, got[0].Cluster)
		}
	}
}

// testFencing restarts a broker: the earlier process must learn that it is replaced.
func testFencing(t *testing.T, b *bench) {
	first := must(b.Join(ctx(t), node(1, "a"), cluster(1), live))(t)
	if err := b.Heartbeat(ctx(t), first, broker.Beat{}); err != nil {
		t.Fatal(err)
	}
	second := must(b.handle().Join(ctx(t), node(1, "a"), cluster(1), live))(t)
	if err := b.Heartbeat(ctx(t), first, broker.Beat{}); !errors.Is(err, broker.ErrFenced) {
		t.Errorf("the replaced process may go on: %v", err)
	}
	if err := b.Leave(ctx(t), first); err != nil {
		t.Error(err)
	}
	if err := b.Heartbeat(ctx(t), second, broker.Beat{}); err != nil {
		t.Error(err)
	}
	if list := must(b.Brokers(ctx(t)))(t); list[0].Stopped {
		t.Error("the replaced process has stopped the new one")
	}
	// A silent broker loses its site id to anybody after the bound.
	if _, err := b.Join(ctx(t), node(1, "z"), cluster(1), -time.Second); err != nil {
		t.Errorf("the site id of a silent broker must be free: %v", err)
	}
}

// testHostLoad: what a broker says of its host is in the list; how much it can carry outlasts silence and
// a restart, but not another broker in its place.
func testHostLoad(t *testing.T, b *bench) {
	n := node(1, "a")
	n.Host = "h1"
	m := must(b.Join(ctx(t), n, cluster(1), live))(t)
	said := broker.Beat{Load: broker.HostLoad{CPUs: 4, Average: 1.5, Busy: 0.25, Steal: 0.125}, Carries: 12.5}
	if err := b.Heartbeat(ctx(t), m, said); err != nil {
		t.Fatal(err)
	}
	if got, _ := b.status(1); got.Beat != said || got.Host != "h1" || got.ClockOff != 0 {
		t.Errorf("it said %+v, the list shows %+v", said, got)
	}
	late := said
	late.Clock = time.Now().Add(-10 * time.Minute)
	if err := b.Heartbeat(ctx(t), m, late); err != nil {
		t.Fatal(err)
	}
	if got, _ := b.status(1); got.ClockOff > -9*time.Minute || got.ClockOff < -12*time.Minute || !got.ClockWrong() || !got.Clock.IsZero() {
		t.Errorf("with a clock that is ten minutes late: %+v", got)
	}
	quiet := broker.Beat{Load: broker.HostLoad{CPUs: 4, Busy: 0.5}}
	if err := b.Heartbeat(ctx(t), m, quiet); err != nil {
		t.Fatal(err)
	}
	if got, _ := b.status(1); got.Load != quiet.Load || got.Carries != said.Carries {
		t.Errorf("after a beat without logins: %+v", got.Beat)
	}
	must(b.Join(ctx(t), n, cluster(1), live))(t)
	if got, _ := b.status(1); got.Load.CPUs != 0 || got.Carries != said.Carries {
		t.Errorf("started again: %+v", got.Beat)
	}
	must(b.Join(ctx(t), node(1, "z"), cluster(1), -time.Second))(t)
	if got, _ := b.status(1); got.Carries != 0 || got.Host != "" {
		t.Errorf("another broker in its place: %+v", got)
	}
}
