package steer

// Between "topology": the client's own order of datacenters. Between "mode": the same; the
// director has taken the pools of the other mode out (see Direct).
//
//	client's order    pools that are in    A and AAAA    SRV priorities
//	uk, us, de        uk, us, de           uk            uk 0, us 10, de 20
//	uk, us, de        us, de               us            us 10, de 20
//	uk, us, de        none                 none          none
//
// A pool that is out keeps its place, so that the priorities of the others do not change with
// its health.

// byPlace lists the pools in the client's order.
func (d *Decision) byPlace() {
	for _, dc := range d.client.Order {
		if j := d.name.at[dc]; j >= 0 {
			d.groups = append(d.groups, group{&d.view.pools[j], &d.name.pools[j]})
		}
	}
}
