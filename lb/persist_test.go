package lb

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func address(n int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(n))
	return netip.AddrFrom4(b)
}

func TestPersistenceSlides(t *testing.T) {
	s := newStickTable(1000)
	a := address(1)
	const keep = 300 * time.Second
	s.put(a, 7, 0, keep)
	now := time.Duration(0)
	for range 10 { // every use extends
		now += 299 * time.Second
		if id, ok := s.get(a, now, keep); !ok || id != 7 {
			t.Fatalf("lost at %v", now)
		}
	}
	if _, left, ok := s.peek(a, now+100*time.Second); !ok || left != 200*time.Second {
		t.Errorf("left %v", left)
	}
	if _, ok := s.get(a, now+keep, keep); ok { // looking did not extend it
		t.Error("still there after 300 s without use")
	}
	if _, ok := s.get(netip.MustParseAddr("::ffff:0.0.0.1").Unmap(), now, keep); !ok {
		t.Error("the same address in another form is another")
	}
}

func TestPersistenceIsBounded(t *testing.T) {
	const limit = 64 * 10
	s := newStickTable(limit)
	for n := range 20_000 {
		s.put(address(n), uint32(n), 0, time.Minute)
		if id, ok := s.get(address(n), 0, time.Minute); !ok || id != uint32(n) {
			t.Fatalf("entry %d is not there right after it was put", n)
		}
	}
	if n := s.len(); n > limit {
		t.Errorf("%d entries, limit %d", n, limit)
	}
	for n := range stickShards {
		s.sweep(n, 2*time.Minute)
	}
	if n := s.len(); n != 0 {
		t.Errorf("%d entries after all expired", n)
	}
}

// TestPersistenceEvictsExpiredFirst: while a shard holds expired entries only, a live one stays.
func TestPersistenceEvictsExpiredFirst(t *testing.T) {
	var s stickShard
	s.m = map[[16]byte]stickEntry{}
	live := address(99).As16()
	s.m[live] = stickEntry{1, 1000}
	for n := range stickProbe - 1 {
		s.m[address(n).As16()] = stickEntry{2, 5}
	}
	for range stickProbe - 1 {
		s.evict(10)
	}
	if _, ok := s.m[live]; !ok || len(s.m) != 1 {
		t.Errorf("%d entries left, the live one among them: %v", len(s.m), ok)
	}
}

// TestPersistenceModel compares the table with a plain map.
func TestPersistenceModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newStickTable(1 << 16)
		type entry struct {
			id    uint32
			until time.Duration
		}
		model := map[netip.Addr]entry{}
		now := time.Duration(0)
		const keep = 10 * time.Second
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			a := address(rapid.IntRange(0, 5).Draw(t, "address"))
			now += time.Duration(rapid.IntRange(0, 80).Draw(t, "ticks")) * stickTick
			switch rapid.IntRange(0, 2).Draw(t, "what") {
			case 0:
				id := rapid.Uint32Range(1, 3).Draw(t, "member")
				s.put(a, id, now, keep)
				model[a] = entry{id, now + keep}
			case 1:
				s.sweep(rapid.IntRange(0, stickShards-1).Draw(t, "shard"), now)
			default:
				want, ok := model[a]
				ok = ok && now < want.until
				id, found := s.get(a, now, keep)
				if found != ok || found && id != want.id {
					t.Fatalf("%v at %v: got %d %v, want %d %v", a, now, id, found, want.id, ok)
				}
				if ok {
					model[a] = entry{want.id, now + keep}
				}
			}
		}
	})
}
