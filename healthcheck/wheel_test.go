package healthcheck

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A wheel of random adds, removes and steps fires every check exactly in its tick.
func TestWheelProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w wheel
		in := make(map[*check]time.Duration) // when the tick of each begins
		now := time.Duration(0)
		steps := rapid.IntRange(1, 60).Draw(t, "steps")
		for range steps {
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0, 1:
				c := &check{}
				due := now + time.Duration(rapid.Int64Range(0, int64(30*time.Second)).Draw(t, "due"))
				w.add(c, due)
				in[c] = time.Duration(c.tick) * wheelTick
				if in[c] > due+wheelTick || due-in[c] >= wheelTick {
					t.Fatalf("due %v, tick %v", due, in[c])
				}
			case 2:
				for c := range in {
					w.remove(c)
					delete(in, c)
					break
				}
			case 3:
				if at, ok := w.next(); ok {
					for c, due := range in {
						if due < at {
							t.Fatalf("next is %v, but %v is due at %v", at, c, due)
						}
					}
				}
				now += time.Duration(rapid.Int64Range(0, int64(25*time.Second)).Draw(t, "by"))
				w.advance(now, func(c *check) {
					if in[c] > now {
						t.Fatalf("fired at %v, due %v", now, in[c])
					}
					delete(in, c)
				})
				for _, due := range in {
					if due <= now {
						t.Fatalf("not fired at %v, due %v", now, due)
					}
				}
			}
			if w.count != len(in) {
				t.Fatalf("count %d, want %d", w.count, len(in))
			}
			if _, ok := w.next(); ok != (len(in) > 0) {
				t.Fatalf("next %v with %d checks", ok, len(in))
			}
		}
	})
}
