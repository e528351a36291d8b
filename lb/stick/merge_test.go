package stick

import (
	"testing"
	"time"
)

func smaller(member, than uint32) bool { return member < than }

// TestMerge: whose word on a client counts.
func TestMerge(t *testing.T) {
	const now = 100 * time.Second
	bound := func(at time.Duration) func(*Table) { // used here at a time
		return func(s *Table) { s.Bind(key(1), 5, at, keep) }
	}
	learntHere := func(s *Table) { s.Merge(key(1), 5, now-time.Second, keep, smaller) }
	for name, tc := range map[string]struct {
		before func(*Table)
		member uint32
		left   time.Duration
		want   uint32
		until  time.Duration // from now
	}{
		"nothing is known here":              {func(*Table) {}, 3, keep, 3, keep},
		"an entry that has expired":          {func(s *Table) { s.Bind(key(1), 5, 0, time.Second) }, 3, keep, 3, keep},
		"what comes has expired":             {bound(now), 3, 0, 5, keep},
		"the same member, used later":        {bound(50 * time.Second), 5, keep, 5, keep},
		"the same member, used earlier":      {bound(now), 5, time.Second, 5, keep},
		"another one, used earlier":          {bound(now), 3, keep - 10*time.Second, 5, keep},
		"another one, used later":            {bound(50 * time.Second), 3, keep, 3, keep},
		"at the same time: the first":        {bound(now), 3, keep, 3, keep},
		"at the same time: not the second":   {bound(now), 9, keep, 5, keep},
		"only learnt: what comes is newer":   {learntHere, 9, keep - 10*time.Second, 9, keep - 10*time.Second},
		"learnt, then used here: it is ours": {func(s *Table) { learntHere(s); s.Use(key(1), now, keep) }, 9, keep - 10*time.Second, 5, keep},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(100, nil)
			tc.before(s)
			s.Merge(key(1), tc.member, now, tc.left, smaller)
			if id, left, ok := s.Peek(key(1), now); !ok || id != tc.want || left != tc.until {
				t.Errorf("member %d for %v, %v; want %d for %v", id, left, ok, tc.want, tc.until)
			}
		})
	}
}

// TestNodesAgree: two nodes that bind a client to different members at the same time end with one.
func TestNodesAgree(t *testing.T) {
	for _, delay := range []time.Duration{0, Tick, 4 * Tick} {
		a, b := New(100, nil), New(100, nil)
		a.Bind(key(1), 1, 0, keep)
		b.Bind(key(1), 2, 0, keep)
		_, left, _ := a.Peek(key(1), 0)
		_, right, _ := b.Peek(key(1), 0)
		b.Merge(key(1), 1, delay, left, smaller)
		a.Merge(key(1), 2, delay, right, smaller)
		one, _, _ := a.Peek(key(1), delay)
		two, _, _ := b.Peek(key(1), delay)
		if one != two {
			t.Errorf("after %v one has %d, the other %d", delay, one, two)
		}
	}
}

// TestJournal: what is told, and how rarely.
func TestJournal(t *testing.T) {
	j := NewJournal(100)
	s := New(100, j)
	s.Bind(key(1), 5, 0, keep)
	for at := time.Second; at <= keep; at += time.Second { // used every second
		if _, ok := s.Use(key(1), at, keep); !ok {
			t.Fatal("lost")
		}
	}
	if n := j.Next(); n < 10 || n > 12 {
		t.Errorf("an entry that is used all the time is told of %d times in its life, want about 10", n)
	}
	at := j.Next()
	s.Merge(key(2), 5, 0, keep, smaller)
	if j.Next() != at {
		t.Error("what was learnt is told on")
	}
	s.Use(key(2), 0, keep)
	got, next, ok := j.Since(at, nil, 10)
	if !ok || len(got) != 1 || got[0].Key != key(2) || got[0].Member != 5 || next != at+1 {
		t.Errorf("what was learnt and is used: %v, %d, %v", got, next, ok)
	}
	for n := range 150 {
		s.Bind(key(n), 5, 0, keep)
	}
	if _, _, ok := j.Since(at, nil, 10); ok {
		t.Error("a reader who comes too late is not told so")
	}
	if _, _, ok := j.Since(j.Next()+1, nil, 10); ok {
		t.Error("what is still to come can be read")
	}
	got, next, ok = j.Since(j.Next()-100, nil, 30)
	if !ok || len(got) != 30 || next != j.Next()-70 || got[0].Key != key(50) {
		t.Errorf("%d changes from %v on, %v", len(got), got[0].Key, ok)
	}
	if got, _, ok := j.Since(j.Next(), nil, 30); !ok || len(got) != 0 {
		t.Errorf("nothing new: %v, %v", got, ok)
	}
}

// TestMergeForLong: what another node says lasts longer than times can be written here lasts as long
// as they can.
func TestMergeForLong(t *testing.T) {
	for _, left := range []time.Duration{13 * 365 * 24 * time.Hour, 14 * 365 * 24 * time.Hour, 100 * 365 * 24 * time.Hour} {
		s := New(16, nil)
		s.Merge(key(1), 1, time.Hour, left, nil)
		if _, got, ok := s.Peek(key(1), time.Hour); !ok || got < 13*365*24*time.Hour {
			t.Errorf("%v are kept for %v", left, got)
		}
	}
}
