package gtm

// outcome is what became of one packet, for the metrics and the query log.
type outcome struct {
	rcode     int
	truncated bool
	limited   string // what RRL did: "drop", "tc" or "badcookie"; empty for nothing

	name       string // steered name or zone
	datacenter string
	policy     string // of a steered name: its method, or its all-down policy while that is in force

	question string // the name that was asked, in the client's own case; empty where there was none
	qtype    uint16
	subnet   []byte // the client subnet option, a part of the packet
	ecs      string // what became of it
	scope    int    // bits of the client's address that the answer depends on
	by       string // what said where the client is; empty for plain zone data
	ttl      uint32 // seconds that the answer may be kept; 0 where it has no records
}

// take notes an answer.
func (o *outcome) take(q query, ans Answer) {
	o.rcode, o.scope, o.subnet = ans.Rcode, ans.Scope, q.options.subnet
	r := &ans.Reason
	o.name, o.datacenter, o.policy = r.Name, r.Datacenter, r.Policy()
	if o.name == "" {
		o.name = r.Zone
	}
	o.by = r.place.By
	if q.hasQuestion {
		o.question, o.qtype = q.name, q.qtype
	}
	switch {
	case len(ans.Answer) > 0:
		o.ttl = ans.Answer[0].Header().Ttl
	case len(ans.Ns) > 0:
		o.ttl = ans.Ns[0].Header().Ttl
	}
}
