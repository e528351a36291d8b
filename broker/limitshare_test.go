package broker

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"switchpoint/internal/covers"
)

// ownFiles is a Store whose database is away: exchanges end in the files of the broker.
type ownFiles struct {
	Store
	said []LimitExchange
	news LimitNews
}

func (o *ownFiles) ExchangeLimits(_ context.Context, q LimitExchange) (LimitNews, error) {
	o.said = append(o.said, q)
	return o.news, nil
}

// TestLimitsAlone: brokers that do not hear of each other share the limits out among those that live; a
// block that one makes is said once, what it has counted until the others can read it.
func TestLimitsAlone(t *testing.T) {
	covers.Req(t, "SE2")
	files := &ownFiles{news: LimitNews{Mark: 7, Local: true}}
	b := &Broker{o: Options{Store: files}, cfg: Config{SiteID: 1}, log: slog.New(slog.DiscardHandler), gate: newGate(1, nil)}
	b.gate.setLimits(Limits{Failures: 12})
	b.originals.learn([]NodeStatus{
		{Node: Node{Name: "a", SiteID: 1}, Live: true}, {Node: Node{Name: "b", SiteID: 2}, Live: true}, {Node: Node{Name: "c", SiteID: 3}, Live: true},
		{Node: Node{Name: "d", SiteID: 4}},
	})
	ctx, s := t.Context(), &sharing{worked: time.Now(), swept: time.Now(), versions: make(map[LimitKey]int64)}
	b.exchangeLimits(ctx, s)
	keys := b.gate.keys("anna", "192.0.2.1")
	for i := range 4 { // 12 failures among 3 brokers
		if _, left := b.gate.blocked(keys); left > 0 {
			t.Fatalf("blocked after %d failures", i)
		}
		if _, _, err := b.gate.enter(ctx, keys); err != nil {
			t.Fatal(err)
		}
		b.gate.leave(keys, "", verdictFailed)
	}
	if _, left := b.gate.blocked(keys); left <= 0 {
		t.Error("not blocked after a third of the failures")
	}
	b.exchangeLimits(ctx, s)
	b.exchangeLimits(ctx, s)
	second, third := files.said[1], files.said[2]
	if len(second.Blocks) != 1 || len(third.Blocks) != 0 {
		t.Errorf("blocks said: %d, then %d", len(second.Blocks), len(third.Blocks))
	}
	if len(second.Batch.Counts) == 0 || third.Batch.ID != second.Batch.ID || len(third.Batch.Counts) != len(second.Batch.Counts) || third.Own != 7 || third.Mark != 0 {
		t.Errorf("counts said: %+v, then %+v", second, third)
	}
	keys = b.gate.keys("bert", "192.0.2.2")
	for range 4 {
		if _, _, err := b.gate.enter(ctx, keys); err != nil {
			t.Fatal(err)
		}
		b.gate.leave(keys, "", verdictFailed)
	}
	b.exchangeLimits(ctx, s) // one more block is said while the counts wait
	if n := len(files.said[3].Blocks); n != 1 {
		t.Errorf("%d more blocks are said", n)
	}
	files.news = LimitNews{Mark: 9}
	b.exchangeLimits(ctx, s)
	if s.pending != nil || b.gate.alone != 1 || s.mark != 9 {
		t.Errorf("with the database: %+v, limits for %d", s, b.gate.alone)
	}
}

// TestLimitOperator: an operator's block holds wherever the user has signed in before, by whatever name he
// comes, ends when it is lifted, and leaves others alone.
func TestLimitOperator(t *testing.T) {
	l := newLimiter(Limits{}, 1, time.Now())
	now := time.Now()
	keys := limitKeys("anna", "192.0.2.1", nil)
	l.succeed(keys, "anna", now)
	l.take(LimitBlock{LimitKey: operatorKey("anna"), Level: 1, SiteID: 2, Left: 48 * time.Hour}, now)
	for _, k := range [][]LimitKey{keys, limitKeys("anna", "", nil), {operatorKey("anna")}} {
		if key, left := l.blocked(k, now.Add(47*time.Hour)); key != operatorKey("anna") || left < 59*time.Minute {
			t.Errorf("%v: %s for %s", k, key, left)
		}
	}
	if _, left := l.blocked(limitKeys("bert", "192.0.2.1", nil), now); left > 0 {
		t.Error("another user of the address is blocked")
	}
	for _, left := range []time.Duration{10 * time.Minute, -time.Second} { // the newest word counts, though it ends sooner
		l.take(LimitBlock{LimitKey: operatorKey("anna"), Level: 1, SiteID: 2, Left: left}, now)
		if _, held := l.blocked(keys, now); held != max(0, left) {
			t.Errorf("blocked for %s, an operator has said %s", held, left)
		}
	}
	l.take(LimitBlock{LimitKey: operatorKey("anna"), Level: 1, SiteID: 2, Left: 48 * time.Hour}, now)
	l.take(LimitBlock{LimitKey: operatorKey("anna"), Left: -time.Second}, now.Add(time.Hour))
	if _, left := l.blocked(keys, now.Add(time.Hour)); left > 0 {
		t.Error("a block that was lifted holds")
	}
}

// TestLimitKeyText: what anybody types at a sign-in does not read as an operator's word, nor as an address.
func TestLimitKeyText(t *testing.T) {
	for _, c := range []struct {
		key  LimitKey
		want string
	}{
		{operatorKey("anna"), "user anna, by an operator"},
		{LimitKey{Kind: LimitUser, User: limitUser("anna, by an operator")}, `user "anna, by an operator"`},
		{LimitKey{Kind: LimitPair, User: limitUser("anna at 192.0.2.1"), Source: "192.0.2.2"}, `user "anna at 192.0.2.1" at 192.0.2.2`},
		{LimitKey{Kind: LimitUser, User: limitUser(`x" at 192.0.2.1`)}, `user "x\" at 192.0.2.1"`},
		{LimitKey{Kind: LimitUser, User: "j.o'neill-ü_1$"}, "user j.o'neill-ü_1$"},
		{LimitKey{Kind: LimitSource, Source: "192.0.2.1"}, "address 192.0.2.1"},
	} {
		if got := c.key.String(); got != c.want {
			t.Errorf("%+v reads %s, want %s", c.key, got, c.want)
		}
	}
}
