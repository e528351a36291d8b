package choice

import "slices"

// Standing is how far a member comes in a choice for a client that nothing binds.
type Standing uint8

// The standings, in the order in which Pick leaves members out.
const (
	NotServing Standing = iota // its state forbids it, or others are in a better one
	Avoided                    // shunned, while others are not
	Crowded                    // full
	InReserve                  // the priority group is not in use
	Candidate                  // the pool's method may choose it
)

// String gives it in words.
func (s Standing) String() string {
	return [...]string{
		"may not serve", "avoided, as connects to it failed lately", "full",
		"in reserve: members of a higher priority are enough", "the method may choose it",
	}[s]
}

// Standings say of every member how far it comes, and which rule the method is then asked under;
// NoneServing and AllFull where there is no candidate. They are Pick's own steps for a client
// without a member.
func Standings(q *Question) ([]Standing, How) {
	out := make([]Standing, len(q.States))
	among, _ := q.Serving(nil)
	if len(among) == 0 {
		return out, NoneServing
	}
	how := ByMethod
	rest := slices.Clone(among)
	switch {
	case q.unshunned(among) == 0:
		how = ByMethodAll
	case q.panics(among):
		how = ByMethodPanic
	default:
		rest = keep(rest, func(i int) bool { return !q.Loads[i].Shunned })
	}
	mark(out, among, Avoided)
	mark(out, rest, Crowded)
	if rest = keep(rest, func(i int) bool { return !q.Loads[i].Full }); len(rest) == 0 {
		return out, AllFull
	}
	mark(out, rest, InReserve)
	mark(out, q.group(rest), Candidate)
	return out, how
}

func mark(out []Standing, members []int, s Standing) {
	for _, i := range members {
		out[i] = s
	}
}
