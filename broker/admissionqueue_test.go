package broker

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// queueModel drives a queue under a clock of its own and keeps account of every login.
type queueModel struct {
	q    *queue
	now  time.Time
	ends map[*turn]string // how it ended, once
	work []*turn
	wait []*turn
}

const modelDeadline = 120 * time.Second

func newQueueModel(places int) *queueModel {
	return &queueModel{q: newQueue(places, modelDeadline), now: time.Unix(1_000_000, 0), ends: make(map[*turn]string)}
}

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// end notes how a login ended.
func (m *queueModel) end(t failer, one *turn, how string) {
	t.Helper()
	if was := m.ends[one]; was != "" {
		t.Fatalf("a login ended twice: %s, then %s", was, how)
	}
	m.ends[one] = how
	m.wait = slices.DeleteFunc(m.wait, func(w *turn) bool { return w == one })
}

// losses takes what the queue lost.
func (m *queueModel) losses(t failer) {
	t.Helper()
	for _, l := range m.q.takeLosses() {
		if l.why == "" {
			t.Fatalf("lost without a reason")
		}
		m.end(t, l, string(l.why))
	}
}

func (m *queueModel) arrive(t failer, s source) *turn {
	t.Helper()
	one := &turn{source: s, arrived: m.now, deadline: m.now.Add(modelDeadline)}
	d := m.q.arrive(m.now, one)
	one.decision = d
	switch {
	case d.start && d.wait:
		t.Fatalf("both started and waiting")
	case d.start:
		m.started(t, one)
	case d.wait:
		m.wait = append(m.wait, one)
	case d.reason == "" || one.why != lossBusy:
		t.Fatalf("refused without a reason: %+v, %q", d, one.why)
	}
	m.losses(t)
	return one
}

func (m *queueModel) started(t failer, one *turn) {
	t.Helper()
	if !m.now.Before(one.deadline) {
		t.Fatalf("a login got its place %s after its deadline", m.now.Sub(one.deadline))
	}
	m.wait = slices.DeleteFunc(m.wait, func(w *turn) bool { return w == one })
	m.work = append(m.work, one)
}

func (m *queueModel) done(t failer, i int) *turn {
	t.Helper()
	one := m.work[i]
	m.work = slices.Delete(m.work, i, i+1)
	m.end(t, one, "worked")
	next := m.q.done(m.now, one)
	if next != nil {
		m.started(t, next)
	}
	m.losses(t)
	return next
}

// check compares the queue's books with the model's.
func (m *queueModel) check(t failer) {
	t.Helper()
	q := m.q
	switch {
	case q.working != len(m.work) || q.working > q.places:
		t.Fatalf("%d in work, %d by the queue, of %d places", len(m.work), q.working, q.places)
	case q.waiting != len(m.wait) || q.byDeadline.Len() != q.waiting:
		t.Fatalf("%d wait, %d by the queue, %d by deadline", len(m.wait), q.waiting, q.byDeadline.Len())
	case q.waiting > 0 && q.working < q.places:
		t.Fatalf("%d wait while %d of %d places are taken", q.waiting, q.working, q.places)
	case len(q.lanes) != q.ring.Len():
		t.Fatalf("%d lanes, %d in the ring", len(q.lanes), q.ring.Len())
	}
	n := 0
	longer := make([]int, len(q.longer))
	for _, l := range q.lanes {
		n += l.turns.Len()
		for i := range l.turns.Len() {
			longer[i]++
		}
	}
	if n != q.waiting || !slices.Equal(longer, q.longer) {
		t.Fatalf("%d in the lanes of %d, lengths %v, want %v", n, q.waiting, q.longer, longer)
	}
	last := time.Time{}
	for e := q.byDeadline.Front(); e != nil; e = e.Next() {
		d := e.Value.(*turn).deadline
		if d.Before(last) {
			t.Fatalf("deadlines out of order")
		}
		last = d
	}
}

func sourceNumber(n int) source {
	return source{prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}), 32)}
}

// TestQueueProperties: whatever comes in which order, every login ends exactly once or still waits, none
// gets its place after its deadline, and no place is free while somebody waits.
func TestQueueProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newQueueModel(rapid.IntRange(1, 4).Draw(t, "places"))
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) { m.check(t) },
			"arrive": func(t *rapid.T) {
				s := sourceNumber(rapid.IntRange(1, 5).Draw(t, "source"))
				for range rapid.IntRange(1, 20).Draw(t, "logins") {
					limit := max(m.q.waiting, m.q.limit(m.now))
					if m.arrive(t, s); m.q.waiting > limit {
						t.Fatalf("%d wait, and %d may", m.q.waiting, limit)
					}
				}
			},
			"late arrival": func(t *rapid.T) { // one whose body took long
				one := &turn{source: sourceNumber(9), arrived: m.now, deadline: m.now.Add(time.Duration(rapid.Int64Range(0, int64(modelDeadline)).Draw(t, "left")))}
				left := one.deadline.Sub(m.now)
				switch d := m.q.arrive(m.now, one); {
				case d.start:
					if left > 0 {
						m.started(t, one)
					} else {
						m.work = append(m.work, one)
					}
				case d.wait:
					m.wait = append(m.wait, one)
					if d.expect > left {
						t.Fatalf("it waits %s, it is said, and has %s", d.expect, left)
					}
				}
				m.losses(t)
			},
			"done": func(t *rapid.T) {
				if len(m.work) > 0 {
					m.done(t, rapid.IntRange(0, len(m.work)-1).Draw(t, "which"))
				}
			},
			"leave": func(t *rapid.T) {
				if len(m.wait) > 0 {
					m.q.leave(m.now, m.wait[rapid.IntRange(0, len(m.wait)-1).Draw(t, "which")])
					m.losses(t)
				}
			},
			"watch": func(t *rapid.T) {
				if len(m.wait) > 0 {
					one := m.wait[rapid.IntRange(0, len(m.wait)-1).Draw(t, "which")]
					if one.unwatched.IsZero() {
						one.unwatched = m.now
					} else {
						one.unwatched = time.Time{}
					}
				}
			},
			"time": func(t *rapid.T) {
				m.now = m.now.Add(time.Duration(rapid.Int64Range(1, int64(40*time.Second)).Draw(t, "span")))
				m.q.expire(m.now)
				m.losses(t)
				for _, w := range m.wait {
					if !m.now.Before(w.deadline) {
						t.Fatalf("a login waits after its deadline")
					}
				}
			},
		})
		m.q.stop(m.now)
		m.losses(t)
		m.check(t)
		if len(m.wait) != 0 {
			t.Fatalf("%d wait after the end", len(m.wait))
		}
	})
}

// TestQueueIsFair: however many logins one source has, another one waits for as many of them as it has
// itself; and the places that the queue names are those in which it serves.
func TestQueueIsFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newQueueModel(1)
		m.q.rate.perSecond = 1000 // room for all
		m.arrive(t, sourceNumber(200))
		var order []*turn
		for _, n := range rapid.SliceOfN(rapid.IntRange(1, 6), 1, 60).Draw(t, "arrivals") {
			m.arrive(t, sourceNumber(n))
		}
		for _, w := range m.wait {
			own, ahead := 0, 0
			for _, other := range m.wait {
				if other == w {
					break
				}
				if other.source == w.source {
					own++
				}
			}
			for _, l := range m.q.lanes {
				ahead += min(l.turns.Len(), own+1)
			}
			if at := m.q.position(m.now, w); at >= ahead {
				t.Fatalf("position %d, with %d before it at most", at, ahead-1)
			}
		}
		m.now = m.now.Add(rankEvery)
		at := make(map[*turn]int)
		for _, w := range m.wait {
			at[w] = m.q.position(m.now, w)
		}
		for len(m.work) > 0 {
			if next := m.done(t, 0); next != nil {
				order = append(order, next)
			}
		}
		for i, o := range order {
			if at[o] != i {
				t.Fatalf("served as number %d, and its position was %d", i, at[o])
			}
		}
		served := make(map[source][]*turn)
		for _, o := range order {
			if l := served[o.source]; len(l) > 0 && l[len(l)-1].arrived.After(o.arrived) {
				t.Fatalf("a source's logins are out of order")
			}
			served[o.source] = append(served[o.source], o)
		}
	})
}

// TestQueueFull: a source with one login gets in when another one has filled the queue, whose last login
// makes room; that other one does not.
func TestQueueFull(t *testing.T) {
	m := newQueueModel(2)
	bot, user := sourceNumber(1), sourceNumber(2)
	for range 2 + m.q.limit(m.now) {
		m.arrive(t, bot)
	}
	limit := m.q.limit(m.now)
	if m.q.waiting != limit {
		t.Fatalf("%d wait, %d may", m.q.waiting, limit)
	}
	last := m.wait[len(m.wait)-1]
	if d := m.arrive(t, bot).decision; d.wait || d.ahead != limit {
		t.Errorf("one more of the same source: %+v", d)
	}
	one := m.arrive(t, user)
	if !one.decision.wait || one.decision.ahead != 1 || m.ends[last] != string(lossEvicted) || m.q.waiting != limit {
		t.Errorf("one of another source: %+v, the last one: %q", one.decision, m.ends[last])
	}
	m.now = m.now.Add(time.Second)
	m.done(t, 0)
	if next := m.done(t, 0); next != one {
		t.Error("it was not its turn after one login of the other")
	}
	m.check(t)
}

// TestQueueAfterStandstill: a directory that answers nothing for a while makes the queue refuse at once,
// and one that is back fills it again.
func TestQueueAfterStandstill(t *testing.T) {
	m := newQueueModel(4)
	for range 40 {
		m.arrive(t, sourceNumber(1))
	}
	m.now = m.now.Add(80 * time.Second)
	if d := m.arrive(t, sourceNumber(1)).decision; d.wait || d.start {
		t.Fatalf("accepted at a standstill: %+v, %g/s", d, m.q.rate.at(m.now))
	}
	if !m.q.crowded {
		t.Error("not crowded at a standstill")
	}
	for range 40 { // it answers 20 a second now
		m.now = m.now.Add(50 * time.Millisecond)
		m.done(t, 0)
	}
	for m.now = m.now.Add(time.Second); len(m.work) > 0; m.now = m.now.Add(50 * time.Millisecond) {
		m.done(t, 0)
	}
	for range 40 {
		if d := m.arrive(t, sourceNumber(1)).decision; !d.wait && !d.start {
			t.Fatalf("refused when it was back: %+v, %g/s", d, m.q.rate.at(m.now))
		}
	}
	if m.q.crowded {
		t.Error("still crowded")
	}
}

// TestSourceOf: an IPv4 address, an IPv6 /64, or a user behind an address of many.
func TestSourceOf(t *testing.T) {
	shared := func(a netip.Addr) bool { return a == netip.MustParseAddr("10.0.0.1") }
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1 anna", "192.0.2.1 bob", true},
		{"192.0.2.1 anna", "::ffff:192.0.2.1 bob", true},
		{"192.0.2.1 anna", "192.0.2.2 anna", false},
		{"2001:db8::1 anna", "2001:db8::ffff:1 bob", true},
		{"2001:db8::1 anna", "2001:db8:0:1::1 anna", false},
		{"10.0.0.1 anna", "10.0.0.1 bob", false},
		{"10.0.0.1 anna", "10.0.0.1 anna", true},
		{"- anna", "- bob", false},
	} {
		var got [2]source
		for i, s := range []string{c.a, c.b} {
			var address, user string
			if _, err := fmt.Sscan(s, &address, &user); err != nil {
				t.Fatal(err)
			}
			got[i] = sourceOf(address, user, shared)
		}
		if (got[0] == got[1]) != c.same {
			t.Errorf("%q and %q: %v and %v", c.a, c.b, got[0], got[1])
		}
	}
}
