package simulate

// soonest finds the smallest of a fixed number of times: a tournament, in which a change is played
// up to the top again.
type soonest struct {
	times []int64 // a power of two
	wins  []int16 // wins[1] is the winner of all; the players follow the inner places
}

func newSoonest(n int) *soonest {
	size := 1
	for size < n {
		size *= 2
	}
	s := &soonest{times: make([]int64, size), wins: make([]int16, 2*size)}
	for i := range size {
		s.times[i] = never
		s.wins[size+i] = int16(i) // #nosec G115 -- few
	}
	for i := size - 1; i > 0; i-- {
		s.wins[i] = s.wins[2*i]
	}
	return s
}

// first is the player with the smallest time.
func (s *soonest) first() (player int, at int64) {
	player = int(s.wins[1])
	return player, s.times[player]
}

func (s *soonest) set(player int, at int64) {
	s.times[player] = at
	for i := (len(s.times) + player) / 2; i > 0; i /= 2 {
		a, b := s.wins[2*i], s.wins[2*i+1]
		if s.times[b] < s.times[a] {
			a = b
		}
		s.wins[i] = a
	}
}
