package steer

// Between "weighted": one pool by a draw in proportion to the weights of those that are in; the
// others follow in the client's order.
//
//	client's order    pools that are in    drawn    A and AAAA    SRV priorities
//	uk, us, de        uk, us, de           us       us            us 0, uk 10, de 20
//	uk, us, de        us, de               de       de            de 0, uk -, us 20
//	uk, us, de        none                 -        none          none

// drawPool brings the drawn pool to the front. The pools are in the client's order.
func (d *Decision) drawPool() {
	total := 0
	for _, g := range d.groups {
		if g.in {
			total += g.pool.Weight
		}
	}
	x := d.client.share(drawPool) * float64(total)
	for i, g := range d.groups {
		if !g.in {
			continue
		}
		if x -= float64(g.pool.Weight); x < 0 {
			d.promote(i, 0)
			return
		}
	}
}

// promote moves the pool at a place to an earlier one; those between move back by one.
func (d *Decision) promote(from, to int) {
	g := d.groups[from]
	copy(d.groups[to+1:from+1], d.groups[to:from])
	d.groups[to] = g
}
