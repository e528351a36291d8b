package steer

// Between "failover": the order of the file, for every client.
//
//	file              pools that are in    A and AAAA    SRV priorities
//	us, uk, de        us, uk, de           us            us 0, uk 10, de 20
//	us, uk, de        uk, de               uk            uk 10, de 20

// byFile lists the pools in the order of the file.
func (d *Decision) byFile() {
	for j := range d.name.pools {
		d.groups = append(d.groups, group{&d.view.pools[j], &d.name.pools[j]})
	}
}
