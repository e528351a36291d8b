package stick

import (
	"testing"
	"time"
)

// TestSources: who is more than twice its fair share.
func TestSources(t *testing.T) {
	for name, tc := range map[string]struct {
		small, each, big int // sources, requests of each, requests of one more
		members          int
		above            bool
	}{
		"one client alone":                      {0, 0, 12, 3, false},
		"one office alone, one member's part":   {0, 0, 300, 3, true},
		"ten equal clients":                     {9, 30, 30, 3, false},
		"an office among clients":               {100, 3, 150, 3, true},
		"among many clients, three times":       {2000, 20, 60, 3, true},
		"among many clients, not twice":         {2000, 20, 36, 3, false},
		"more clients than there are cells":     {20_000, 3, 300, 3, true},
		"of them none that is like the others":  {20_000, 3, 3, 3, false},
		"two equal offices, two members":        {1, 500, 500, 2, false},
		"two offices, one of them much greater": {1, 100, 900, 2, true},
	} {
		t.Run(name, func(t *testing.T) {
			now := 7 * time.Second
			s := crowd(tc.small, tc.each, now)
			for range tc.big {
				s.Count(key(-1), now)
			}
			share := s.Look(key(-1), now)
			if share.Above(2, tc.members) != tc.above {
				t.Errorf("%+v, fair %.1f: above is %v", share, share.Fair(tc.members), !tc.above)
			}
			if want := float64(tc.small*tc.each + tc.big); share.Total != want {
				t.Errorf("%v requests, want %v", share.Total, want)
			}
		})
	}
}

// crowd makes a sketch of small sources with each so many requests, in which the source -1 shares its
// cells with nobody, where there are such sketches: the seed is drawn, and among 2,000 sources one in
// seven shares all of its cells and is told to be more than it is, as Sources says.
func crowd(small, each int, now time.Duration) *Sources {
	for tries := 1; ; tries++ {
		s := NewSources()
		for range each {
			for n := range small {
				s.Count(key(n), now)
			}
		}
		if s.Look(key(-1), now).Requests == 0 || tries == 20 {
			return s
		}
	}
}

// TestSourcesForget: half a minute to a minute later nothing is left.
func TestSourcesForget(t *testing.T) {
	s := NewSources()
	for range 100 {
		s.Count(key(1), 10*time.Second)
	}
	for _, tc := range []struct {
		at   time.Duration
		want float64
	}{{29 * time.Second, 100}, {30 * time.Second, 100}, {45 * time.Second, 50}, {57 * time.Second, 10}, {60 * time.Second, 0}} {
		if got := s.Look(key(1), tc.at).Requests; got < tc.want-1 || got > tc.want+1 {
			t.Errorf("after %v: %v requests, want %v", tc.at, got, tc.want)
		}
	}
	s.Count(key(1), 10*time.Minute)
	if got := s.Look(key(1), 10*time.Minute); got.Requests != 1 || got.Total != 1 {
		t.Errorf("after a long silence: %+v", got)
	}
}
