package choice

import "switchpoint/healthcheck"

// Serving appends to dst the members that may get a client that nothing binds, and says why these.
// They are those of healthcheck.Serving, which prefers the ones in mode normal; where none of these
// can take the request, or connects to too many of them fail (panic_threshold), all that are up
// (healthcheck.Widened).
func (q *Question) Serving(dst []int) ([]int, string) {
	base := len(dst)
	dst, why := healthcheck.Serving(dst, q.States)
	named := dst[base:]
	n := len(named)
	if n == 0 || n == len(q.States) || q.States[named[0]].State != healthcheck.Up || q.normalTakes(named) && !q.panics(named) {
		return dst, why
	}
	if wide, widened := healthcheck.Widened(dst[:base], q.States); len(wide)-base > n {
		return wide, widened
	}
	return dst, why
}

// normalTakes says whether a member in mode normal can take the request: it did not fail for it,
// connects reach it, it has a place, and fewer requests in flight from here than it says it carries
// at once, or than its share of that while slow start holds. What is in flight is known now, its own
// figures only since the newest probe. In a tcp pool it is connections.
func (q *Question) normalTakes(among []int) bool {
	for _, i := range among {
		l, said := &q.Loads[i], &q.States[i].Load
		if l.Tried || l.Shunned || l.Full || !said.Normal() {
			continue
		}
		if said.Capacity < 0 || float64(l.InFlight) < float64(said.Capacity)*Ramp(l.Since, q.SlowStart) {
			return true
		}
	}
	return false
}
