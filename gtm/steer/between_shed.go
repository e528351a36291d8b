package steer

// Shifting (HK4, DC7): a share of the clients of an overloaded pool, or of one without its database,
// goes to the next one. How large the share is and how fast it may change is the director's
// (poolView.shed), and nothing else moves a client here: what takes the clients may become overloaded
// or lose its database too, and then sheds its own share of whatever comes to it, in the same small
// steps. To pass over it at once would move all that came to it at once.
//
//	of the pools that are in, in order, shed    draw            who takes the client
//	0, any                                      any             the first
//	0.2, 0                                      0.2 to 1        the first
//	0.2, 0                                      0 to 0.2        the second, before the first
//	0.2, 0.5, 0                                 0.1 to 0.2      the second
//	0.2, 0.5, 0                                 0 to 0.1        the third
//	0.2, 0.5                                    0 to 0.1        the first: nobody else is left
//
// SRV follows: the pool that takes over has the best priority for this answer.

// shift applies it to the order of the pools.
func (d *Decision) shift() {
	if d.best < 0 || d.groups[d.best].shed <= 0 {
		return
	}
	draw := d.client.share(drawShed)
	for i := d.best; i < len(d.groups); i++ {
		g := d.groups[i]
		if !g.in {
			continue
		}
		if draw >= g.shed {
			d.moved = i > d.best
			d.promote(i, d.best)
			return
		}
		draw /= g.shed // below the share all draws are equally likely: what is left is a draw again
	}
}
