package stick

import (
	"encoding/binary"
	"runtime"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"switchpoint/internal/covers"
)

func key(n int) (k Key) {
	binary.BigEndian.PutUint64(k[8:], uint64(n))
	return k
}

const keep = 300 * time.Second

func TestSlides(t *testing.T) {
	s := New(1000, nil)
	s.Bind(key(1), 7, 0, keep)
	now := time.Duration(0)
	for range 10 { // every use extends
		now += 299 * time.Second
		if id, ok := s.Use(key(1), now, keep); !ok || id != 7 {
			t.Fatalf("lost at %v", now)
		}
	}
	if _, left, ok := s.Peek(key(1), now+100*time.Second); !ok || left != 200*time.Second {
		t.Errorf("left %v", left)
	}
	if _, ok := s.Use(key(1), now+keep, keep); ok { // looking did not extend it
		t.Error("still there after 300 s without use")
	}
	if _, _, ok := s.Peek(key(1), now+keep); ok {
		t.Error("an expired entry can be seen")
	}
}

func TestBounded(t *testing.T) {
	const want = 64 * 12
	s := New(want, nil)
	for n := range 20_000 {
		s.Bind(key(n), uint32(n+1), 0, time.Minute)
		if id, ok := s.Use(key(n), 0, time.Minute); !ok || id != uint32(n+1) {
			t.Fatalf("entry %d is not there right after it was made", n)
		}
	}
	if n := total(s, 0); n > want || n < want/2 || s.Evicted() != uint64(20_000-n) {
		t.Errorf("%d entries, %d given up", n, s.Evicted())
	}
	for n := range shards {
		s.Sweep(n, 2*time.Minute)
	}
	if n := total(s, 0); n != 0 {
		t.Errorf("%d entries after all expired", n)
	}
}

func total(s *Table, now time.Duration) (n int) {
	for _, c := range s.Counts(now) {
		n += c
	}
	return n
}

// TestExpiredGoFirst: while there are expired entries near, none that is alive is given up.
func TestExpiredGoFirst(t *testing.T) {
	s := New(1, nil) // 12 entries a shard
	n, first := 0, key(0)
	home, _ := s.find(&first)
	inShard := func() Key {
		for {
			n++
			k := key(n)
			if at, _ := s.find(&k); at == home {
				return k
			}
		}
	}
	s.Bind(first, 1, 0, time.Hour)
	for home.used < room(minSlots) {
		s.Bind(inShard(), 2, 0, time.Second)
	}
	for range 4 { // of 8 that are looked at, 7 at least have expired
		s.Bind(inShard(), 3, time.Minute, time.Hour)
	}
	if _, _, ok := s.Peek(first, time.Minute); !ok || s.Evicted() != 0 {
		t.Errorf("the one alive is there: %v; %d given up", ok, s.Evicted())
	}
}

// TestMemory is the bound of LB3: a million entries in 64 MB, whatever their number was before.
func TestMemory(t *testing.T) {
	covers.Req(t, "LB3")
	const million = 1_000_000
	before := heap()
	s := New(1<<20, NewJournal(1<<17))
	for n := range million {
		s.Bind(key(n), uint32(n%10+1), 0, keep)
	}
	used := heap() - before
	t.Logf("%d entries in %.1f MB", million, float64(used)/1e6)
	if used > 64<<20 {
		t.Errorf("%d bytes", used)
	}
	if got := total(s, 0); got != million || s.Evicted() != 0 {
		t.Errorf("%d entries are there, %d were given up", got, s.Evicted())
	}
	for id, n := range s.Counts(0) {
		if n != million/10 {
			t.Errorf("member %d has %d entries", id, n)
		}
	}
	for n := range 600_000 { // more than there is room for do not cost more
		s.Bind(key(million+n), 1, 0, keep)
	}
	if used := heap() - before; used > 64<<20 {
		t.Errorf("%d bytes when it is full", used)
	}
	if s.Evicted() == 0 {
		t.Error("it is never full")
	}
}

// TestGivesBack: after a storm the memory of the table is free again.
func TestGivesBack(t *testing.T) {
	s := New(1<<20, nil)
	for n := range 100_000 {
		s.Bind(key(n), 1, 0, keep)
	}
	for round := range 12 {
		for n := range shards {
			s.Sweep(n, keep+time.Duration(round)*time.Second)
		}
	}
	for n := range s.shards {
		if got := len(s.shards[n].slots); got > minSlots {
			t.Fatalf("shard %d has %d slots and no entry", n, got)
		}
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

// TestModel compares the table with a plain map.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(1<<16, NewJournal(8))
		type entry struct {
			id    uint32
			until time.Duration
		}
		model := map[Key]entry{}
		now := time.Duration(0)
		const keep = 10 * time.Second
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			k := key(rapid.IntRange(0, 40).Draw(t, "key"))
			now += time.Duration(rapid.IntRange(0, 30).Draw(t, "ticks")) * Tick
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0, 1:
				id := rapid.Uint32Range(1, 3).Draw(t, "member")
				s.Bind(k, id, now, keep)
				model[k] = entry{id, now + keep}
			case 2:
				for n := range shards {
					s.Sweep(n, now)
				}
			default:
				want, ok := model[k]
				ok = ok && now < want.until
				id, found := s.Use(k, now, keep)
				if found != ok || found && id != want.id {
					t.Fatalf("%v at %v: got %d %v, want %d %v", k, now, id, found, want.id, ok)
				}
				if ok {
					model[k] = entry{want.id, now + keep}
				}
			}
		}
		alive := 0
		for k, e := range model {
			if e.until > now {
				alive++
				if id, _, ok := s.Peek(k, now); !ok || id != e.id {
					t.Fatalf("%v is lost", k)
				}
			}
		}
		if n := total(s, now); n != alive {
			t.Fatalf("%d entries, want %d", n, alive)
		}
	})
}

// TestCrowdedModel does so in one crowded shard, where entries stand in each other's way.
func TestCrowdedModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(1, nil)
		var keys []Key
		first := key(0)
		home, _ := s.find(&first)
		for n := 0; len(keys) < room(minSlots); n++ {
			k := key(n)
			if at, _ := s.find(&k); at == home {
				keys = append(keys, k)
			}
		}
		model := map[Key]time.Duration{}
		now := time.Duration(0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			k := rapid.SampledFrom(keys).Draw(t, "key")
			now += time.Second
			if rapid.Bool().Draw(t, "bind") {
				left := time.Duration(rapid.IntRange(1, 20).Draw(t, "keep")) * time.Second
				s.Bind(k, 1, now, left)
				model[k] = now + left
			} else {
				for n := range shards {
					s.Sweep(n, now)
				}
			}
			for _, k := range keys {
				if _, _, ok := s.Peek(k, now); ok != (model[k] > now) {
					t.Fatalf("%v at %v is there: %v, until %v", k, now, ok, model[k])
				}
			}
		}
	})
}

func TestManyAtOnce(t *testing.T) {
	s := New(4096, NewJournal(100))
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			for n := range 4000 {
				k := key(n % 512)
				if id, ok := s.Use(k, time.Duration(n)*Tick, keep); ok && (id < 1 || id > 8) {
					t.Errorf("member %d", id)
				}
				s.Bind(k, uint32(g+1), time.Duration(n)*Tick, keep)
				s.Sweep(n, time.Duration(n)*Tick)
				s.Merge(k, uint32(g+1), time.Duration(n)*Tick, keep, func(a, b uint32) bool { return a < b })
			}
		})
	}
	group.Wait()
	if n := total(s, 0); n != 512 {
		t.Errorf("%d entries, want 512", n)
	}
}

func TestAllocatesNothing(t *testing.T) {
	s := New(1<<16, NewJournal(100))
	src := NewSources()
	s.Bind(key(1), 1, 0, keep)
	now := time.Duration(0)
	n := testing.AllocsPerRun(1000, func() {
		now += time.Second
		s.Use(key(1), now, keep)
		s.Bind(key(1), 2, now, keep)
		src.Count(key(1), now).Above(2, 3)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkUse(b *testing.B) {
	s := New(1<<20, NewJournal(1<<17))
	for n := range 1_000_000 {
		s.Bind(key(n), 1, 0, keep)
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		s.Use(key(n*7919%1_000_000), time.Duration(n), keep)
	}
}

func BenchmarkSources(b *testing.B) {
	s := NewSources()
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		s.Count(key(n%5000), time.Duration(n)).Above(2, 3)
	}
}
