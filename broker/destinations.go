package broker

import "switchpoint/redirect"

// RedirectOrigins lists the origins of all destinations: a browser may be sent there.
func (b *Broker) RedirectOrigins() []string { return b.table.Load().origins }

// Destination is the destination of that name that takes tickets.
func (b *Broker) Destination(name string) (redirect.Destination, bool) {
	d, ok := b.table.Load().destinations[name]
	return d, ok && !d.Plain
}

// HomeUnavailable refuses what cannot be passed on to the home cluster.
func HomeUnavailable(ref string) *Refusal { return refusal(CodeHomeUnavailable, ref) }
