package storetest

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/redirect"
)

const limitWithin = time.Hour

func pair(user, source string) broker.LimitKey {
	return broker.LimitKey{Kind: broker.LimitPair, User: user, Source: source}
}

// exchange says something and reads the news since mark.
func (b *bench) exchange(s Store, site int, mark int64, counts []broker.LimitCount, blocks ...broker.LimitBlock) broker.LimitNews {
	b.t.Helper()
	q := broker.LimitExchange{SiteID: site, Mark: mark, Within: limitWithin, Blocks: blocks}
	if len(counts) > 0 || len(blocks) > 0 {
		q.Batch = broker.LimitBatch{ID: id(), Counts: counts}
	}
	return must(s.ExchangeLimits(ctx(b.t), q))(b.t)
}

// testLimits: what one broker counts reaches the others, once the newest part, with its age, and not itself.
func testLimits(t *testing.T, b *bench) {
	other := b.handle()
	if n := b.exchange(b, 1, 0, nil); n.Mark <= 0 || len(n.Batches)+len(n.Blocks) != 0 {
		t.Fatalf("an empty database has news: %+v", n)
	}
	counts := []broker.LimitCount{
		{LimitKey: pair("anna", "192.0.2.7"), Bad: 3, Age: time.Minute},
		{LimitKey: broker.LimitKey{Kind: broker.LimitSource, Source: "192.0.2.7"}, Bad: 3, Good: 2, Age: time.Second},
	}
	if n := b.exchange(b, 1, 0, counts); len(n.Batches) != 0 {
		t.Errorf("a broker hears itself: %+v", n)
	}
	b.exchange(b, 1, 0, []broker.LimitCount{{LimitKey: pair("anna", "192.0.2.7"), Bad: -3}})
	n := b.exchange(other, 2, 0, nil)
	if len(n.Batches) != 2 || len(n.Batches[0].Counts) != 2 || n.Batches[0].Counts[0].Bad != 3 || n.Batches[1].Counts[0].Bad != -3 {
		t.Fatalf("the other broker hears %+v", n)
	}
	for i, c := range n.Batches[0].Counts {
		if c.Age < counts[i].Age || c.Age > counts[i].Age+time.Minute {
			t.Errorf("%s old is %s old for the other", counts[i].Age, c.Age)
		}
		c.Age = counts[i].Age
		if c != counts[i] {
			t.Errorf("%+v arrives as %+v", counts[i], c)
		}
	}
	// Whatever is read again is known by its id.
	again := b.exchange(other, 2, n.Mark, nil)
	for _, batch := range again.Batches {
		if !slices.ContainsFunc(n.Batches, func(o broker.LimitBatch) bool { return o.ID == batch.ID }) {
			t.Errorf("batch %s is new", batch.ID)
		}
	}
	if again.Mark < n.Mark {
		t.Errorf("mark %d after %d", again.Mark, n.Mark)
	}
	b.exchange(b, 1, 0, []broker.LimitCount{{LimitKey: pair("bert", "192.0.2.8"), Bad: 1}})
	if more := b.exchange(other, 2, again.Mark, nil); len(more.Batches) == 0 || more.Batches[len(more.Batches)-1].Counts[0].User != "bert" {
		t.Errorf("news since the mark: %+v", more)
	}
	q := broker.LimitExchange{SiteID: 3, Within: time.Millisecond}
	for deadline := time.Now().Add(10 * time.Second); len(must(other.ExchangeLimits(ctx(t), q))(t).Batches) != 0; {
		if time.Now().After(deadline) {
			t.Fatal("batches that are older than asked for are read")
		}
	}
}

// testLimitsTwice writes one batch again, as a broker does that does not know whether it was written.
func testLimitsTwice(t *testing.T, b *bench) {
	q := broker.LimitExchange{SiteID: 1, Within: limitWithin, Batch: broker.LimitBatch{ID: id(), Counts: []broker.LimitCount{{LimitKey: pair("anna", "::/64"), Bad: 1}}}}
	for range 2 {
		must(b.ExchangeLimits(ctx(t), q))(t)
	}
	if n := b.exchange(b, 2, 0, nil); len(n.Batches) != 1 {
		t.Errorf("one batch, written twice, is %+v", n)
	}
}

func testLimitBlocks(t *testing.T, b *bench) {
	k := pair("anna", "192.0.2.7")
	block := broker.LimitBlock{LimitKey: k, Level: 2, SiteID: 1, Age: time.Second, Left: time.Hour}
	first := b.exchange(b, 1, 0, nil, block)
	if len(first.Blocks) != 1 {
		t.Fatalf("a broker does not read its own block: %+v", first)
	}
	got := first.Blocks[0]
	if got.LimitKey != k || got.Level != 2 || got.SiteID != 1 || got.Age < time.Second || got.Left > time.Hour || got.Left < 59*time.Minute || got.Version == 0 || len(got.Except) != 0 {
		t.Errorf("block came back as %+v", got)
	}
	// One that was made before the one that stands does not replace it, whoever comes later.
	b.exchange(b, 2, 0, nil, broker.LimitBlock{LimitKey: k, Level: 1, SiteID: 2, Age: 30 * time.Minute, Left: 2 * time.Hour})
	// And one that is made after it and ends sooner neither: nothing known ends early.
	b.exchange(b, 2, 0, nil, broker.LimitBlock{LimitKey: k, Level: 1, SiteID: 2, Left: time.Minute})
	if list := must(b.handle().LimitBlocks(ctx(t)))(t); len(list) != 1 || list[0].Level != 2 || list[0].Version != got.Version {
		t.Errorf("replaced by an older or shorter one: %+v", list)
	}
	n := b.exchange(b, 2, 0, nil, broker.LimitBlock{LimitKey: k, Level: 3, SiteID: 2, Left: 4 * time.Hour})
	if len(n.Blocks) != 1 || n.Blocks[0].Level != 3 || n.Blocks[0].Version == got.Version {
		t.Errorf("the next block: %+v", n.Blocks)
	}
	// One that is over is no block, but a broker that starts has to know of it: the next one is longer.
	over := broker.LimitBlock{LimitKey: pair("bert", "192.0.2.8"), Level: 1, SiteID: 1, Age: time.Hour, Left: -time.Minute}
	n = b.exchange(b, 1, 0, nil, over)
	if len(n.Blocks) != 2 || n.Blocks[1].User != "bert" || n.Blocks[1].Left >= 0 {
		t.Errorf("with one that is over: %+v", n.Blocks)
	}
	if list := must(b.LimitBlocks(ctx(t)))(t); len(list) != 1 || list[0].User != "anna" {
		t.Errorf("blocks that hold: %+v", list)
	}
}

// testLimitExcept: the block of a user leaves out where he has signed in.
func testLimitExcept(t *testing.T, b *bench) {
	b.fill(setup())
	for _, address := range []string{"192.0.2.7", "192.0.2.7", "2001:db8::1", "nowhere"} {
		r := b.record("anna")
		r.NewSession.ClientAddr = address
		must(b.Login(ctx(t), r))(t)
	}
	b.login("bert")
	n := b.exchange(b, 1, 0, nil, broker.LimitBlock{LimitKey: broker.LimitKey{Kind: broker.LimitUser, User: "anna"}, Level: 1, SiteID: 1, Left: time.Hour},
		broker.LimitBlock{LimitKey: pair("anna", "192.0.2.7"), Level: 1, SiteID: 1, Left: time.Minute})
	if len(n.Blocks) != 2 {
		t.Fatalf("%+v", n)
	}
	if want := []string{"192.0.2.7", "2001:db8::/64"}; !reflect.DeepEqual(n.Blocks[0].Except, want) {
		t.Errorf("left out are %v, want %v", n.Blocks[0].Except, want)
	}
	if len(n.Blocks[1].Except) != 0 {
		t.Errorf("a block at an address leaves out %v", n.Blocks[1].Except)
	}
}

func testLimitLift(t *testing.T, b *bench) {
	anna, bert, none := pair("anna", "192.0.2.7"), pair("bert", "192.0.2.7"), pair("carl", "192.0.2.7")
	b.exchange(b, 1, 0, nil, broker.LimitBlock{LimitKey: anna, Level: 3, SiteID: 1, Left: time.Hour}, broker.LimitBlock{LimitKey: bert, Level: 1, SiteID: 1, Left: time.Minute})
	before := b.exchange(b, 2, 0, nil)
	row := b.row(broker.LogCluster)
	if lifted := must(b.handle().LiftLimits(ctx(t), []broker.LimitKey{anna, none}, row))(t); !slices.Equal(lifted, []broker.LimitKey{anna}) {
		t.Errorf("lifted %v", lifted)
	}
	must(b.LogByRef(ctx(t), row.Ref))(t)
	if list := must(b.LimitBlocks(ctx(t)))(t); len(list) != 1 || list[0].LimitKey != bert {
		t.Errorf("what holds: %+v", list)
	}
	n := b.exchange(b, 2, before.Mark, nil)
	i := slices.IndexFunc(n.Blocks, func(l broker.LimitBlock) bool { return l.LimitKey == anna })
	if i < 0 || n.Blocks[i].Level != 0 || n.Blocks[i].Left > 0 {
		t.Errorf("another broker reads %+v", n.Blocks)
	}
	nothing := b.row(broker.LogCluster)
	if lifted := must(b.LiftLimits(ctx(t), []broker.LimitKey{anna}, nothing))(t); len(lifted) != 0 {
		t.Errorf("lifted again: %v", lifted)
	}
	if _, err := b.LogByRef(ctx(t), nothing.Ref); err == nil {
		t.Error("nothing was done, and there is a log row")
	}
	// A block that was made before it was lifted, and is written late, does not come back.
	n = b.exchange(b, 1, 0, nil, broker.LimitBlock{LimitKey: anna, Level: 3, SiteID: 1, Age: time.Minute, Left: time.Hour})
	if i := slices.IndexFunc(n.Blocks, func(l broker.LimitBlock) bool { return l.LimitKey == anna }); n.Blocks[i].Level != 0 {
		t.Errorf("a lifted block is back: %+v", n.Blocks[i])
	}
	n = b.exchange(b, 1, 0, nil, broker.LimitBlock{LimitKey: anna, Level: 1, SiteID: 1, Left: time.Hour})
	if i := slices.IndexFunc(n.Blocks, func(l broker.LimitBlock) bool { return l.LimitKey == anna }); n.Blocks[i].Level != 1 {
		t.Errorf("a new block does not count: %+v", n.Blocks[i])
	}
}

// testLimitPurge: what nobody needs any more goes, what holds stays.
func testLimitPurge(t *testing.T, b *bench) {
	b.exchange(b, 1, 0, []broker.LimitCount{{LimitKey: pair("anna", "192.0.2.7"), Bad: 1}},
		broker.LimitBlock{LimitKey: pair("anna", "192.0.2.7"), Level: 1, SiteID: 1, Left: time.Hour},
		broker.LimitBlock{LimitKey: pair("bert", "192.0.2.7"), Level: 1, SiteID: 1, Age: 50 * time.Hour, Left: -49 * time.Hour})
	if p := must(b.Purge(ctx(t), broker.Retention{Log: time.Hour, Sessions: time.Hour}))(t); p.Limits != 1 {
		t.Errorf("purged %+v", p)
	}
	if n := b.exchange(b, 2, 0, nil); len(n.Batches) != 1 || len(n.Blocks) != 1 {
		t.Errorf("what is left: %+v", n)
	}
}

// testLimitsTogether runs two brokers: what one of them blocks, the other blocks within a second, and what is
// lifted at one is lifted at both.
func testLimitsTogether(t *testing.T, b *bench) {
	hash := must(broker.HashPassword("right"))(t)
	var brokers []*broker.Broker
	for site := range 2 {
		o := broker.Options{
			Config: broker.Config{Cluster: "uk", SiteID: site + 1, Listen: []string{"127.0.0.1:0"}},
			Name:   string(rune('a' + site)), Version: "test", Store: b.handle(), Monitors: []string{"alive"},
		}
		br := must(broker.New(t.Context(), o))(t)
		brokers = append(brokers, br)
		run, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- br.Run(run) }()
		t.Cleanup(func() { stop(); <-ended })
	}
	s := setup()
	s.Users = []broker.LocalUser{{Name: "anna", Password: hash}}
	s.Limits = broker.Limits{Failures: 4}
	s.Destinations = []redirect.Destination{{Name: "us", URL: "https://us.example", Cluster: "us", Monitor: "alive"}}
	must(brokers[0].Apply(t.Context(), s, false, "test"))(t)
	login := func(i int, password string) *broker.Refusal {
		t.Helper()
		return brokers[i].Login(t.Context(), broker.LoginRequest{User: "anna", Password: password, ClientAddr: "192.0.2.7"}).Refusal
	}
	within := func(what string, bound time.Duration, holds func() bool) {
		t.Helper()
		began := time.Now()
		for !holds() {
			if time.Since(began) > bound+30*time.Second {
				t.Fatalf("not at all: %s", what)
			}
			time.Sleep(5 * time.Millisecond)
		}
		if took := time.Since(began); took > bound {
			t.Errorf("%s after %s", what, took)
		}
	}
	within("both brokers have the setup", 30*time.Second, func() bool {
		return len(brokers[1].RedirectOrigins()) == 1
	})
	var began time.Time // of the failure that is one too many
	for i := range 4 {
		began = time.Now()
		if r := login(0, "wrong"); r == nil || r.Code != broker.CodeSignInFailed {
			t.Fatalf("failure %d: %+v", i, r)
		}
	}
	if r := login(0, "right"); r == nil || r.Code != broker.CodeTooMany || r.RetryAfter < 14*time.Minute || r.RetryAfter > 15*time.Minute {
		t.Fatalf("at the broker that counted: %+v", r)
	}
	for {
		asked := time.Now()
		r := login(1, "right")
		if r != nil && r.Code == broker.CodeTooMany {
			break
		}
		if asked.Sub(began) > time.Second {
			t.Fatalf("a second later, the other broker says %+v", r)
		}
	}
	list := must(brokers[1].LimitBlocks(ctx(t)))(t)
	if len(list) != 1 || list[0].LimitKey != pair("anna", "192.0.2.7") || list[0].SiteID != 1 || list[0].Level != 1 {
		t.Errorf("listed: %+v", list)
	}
	if _, err := brokers[1].LiftLimits(ctx(t), "bert", "", "eve"); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("lifted for somebody else: %v", err)
	}
	if lifted := must(brokers[1].LiftLimits(ctx(t), `CORP\Anna`, "192.0.2.7", "eve"))(t); len(lifted) != 1 {
		t.Errorf("lifted: %v", lifted)
	}
	for i := range brokers {
		within("lifted", 2*time.Second, func() bool { return login(i, "right") == nil }) // a refusal takes 300 ms
	}
}
