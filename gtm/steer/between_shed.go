package steer

// Overload shifting (HK4): a share of the clients of an overloaded pool goes to the next one that
// is not overloaded. How large the share is and how fast it may grow is the director's (poolView.shed).
//
//	first pool that is in sheds    draw        a later pool that is in and sheds nothing    result
//	nothing                        any         any                                          unchanged
//	0.2                            0.2 to 1    any                                          unchanged
//	0.2                            0 to 0.2    there is none                                unchanged
//	0.2                            0 to 0.2    the first of them                            it takes the place
//	                                                                                        before the first
//
// SRV follows: the pool that takes over has the better priority for this answer.

// shift applies it to the order of the pools.
func (d *Decision) shift() {
	if d.best < 0 || d.groups[d.best].shed <= 0 {
		return
	}
	if d.client.share(drawShed) >= d.groups[d.best].shed {
		return
	}
	if to := d.relief(); to > 0 {
		d.promote(to, d.best)
		d.moved = true
	}
}

// relief is the pool that takes what the first one sheds; -1: there is none.
func (d *Decision) relief() int {
	for i := d.best + 1; i < len(d.groups); i++ {
		if g := d.groups[i]; g.in && g.shed == 0 && !g.strained() {
			return i
		}
	}
	return -1
}
