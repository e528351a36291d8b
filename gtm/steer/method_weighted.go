package steer

// Method "weighted": a draw in proportion to the weights, without replacement.
//
//	members that serve                    weight                A and AAAA            best SRV priority
//	not all overloaded                    the configured one    one, or "answers"     all, with these
//	all overloaded, capacity known        the capacity left     of them, drawn        weights
//	all overloaded, capacity not known    the configured one
//
// The share that a member has of the draws is kept among the members with an address of one
// family: those without are passed over, and a draw without replacement knows no other order
// (Plackett and Luce).

// drawn puts the step-th unit of a weighted draw into its place: one of those that are not yet
// placed, in proportion to their weights. Those of weight zero come when only they are left.
func drawn(units []unit, step int, c Client) {
	rest := units[step:]
	total := 0
	for i := range rest {
		total += rest[i].weight
	}
	x := c.share(drawMember+step) * float64(total)
	for i := range rest {
		if x -= float64(rest[i].weight); x < 0 {
			rest[0], rest[i] = rest[i], rest[0]
			return
		}
	}
}
