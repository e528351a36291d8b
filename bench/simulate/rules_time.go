package simulate

import "time"

// traefik is the leasttime of Traefik 3.6: the mean of the last 100 TTFBs in whole milliseconds,
// times one more than the requests in flight; ties go to the earliest deadline.
type traefik struct {
	members
	seen      []traefikSeen
	deadlines []float64
}

const traefikSamples = 100

type traefikSeen struct {
	last    [traefikSamples]float64
	n, next int
	sum     float64
}

func newTraefik(m members) rule {
	r := &traefik{members: m, seen: make([]traefikSeen, len(m.inFlight)), deadlines: make([]float64, len(m.inFlight))}
	for i := range r.deadlines {
		r.deadlines[i] = float64(i + 1)
	}
	return r
}

func (r *traefik) score(i int) float64 {
	s := &r.seen[i]
	if s.n == 0 {
		return 0
	}
	return s.sum / float64(s.n) * float64(1+r.inFlight[i])
}

func (r *traefik) pick(int64, uint8) int {
	best, ties, least := -1, 0, 0.0
	for _, i := range r.up {
		score := r.score(i)
		switch {
		case best < 0 || score < least:
			best, ties, least = i, 1, score
		case score == least:
			ties++
			if r.deadlines[i] < r.deadlines[best] {
				best = i
			}
		}
	}
	if ties > 1 {
		r.deadlines[best]++
	}
	return best
}

func (r *traefik) ended(now int64, server int, e end) {
	r.members.ended(now, server, e)
	if e.status == 0 {
		return
	}
	s, v := &r.seen[server], float64(e.took/int64(time.Millisecond))
	if s.n == traefikSamples {
		s.sum -= s.last[s.next]
	} else {
		s.n++
	}
	s.last[s.next] = v
	s.sum += v
	s.next = (s.next + 1) % traefikSamples
}

// nginx is its least_time header: an average of 1/20 for each new value, in clusters of 20 ms,
// times one more than the connections; smooth weighted round robin among equals. max_fails is left
// out: answers of 500 are no failures to nginx unless proxy_next_upstream names them.
type nginx struct {
	members
	seen []nginxSeen
}

type nginxSeen struct {
	avg     float64 // ms
	checked int64   // s
	turn    int
}

const (
	nginxFailTimeout = 10 // s
	nginxMost        = 5000
	nginxCluster     = 20
)

func newNginx(m members) rule { return &nginx{members: m, seen: make([]nginxSeen, len(m.inFlight))} }

func (r *nginx) eta(second int64, i int) int64 {
	s := &r.seen[i]
	rt := int64(s.avg)
	if idle := second - s.checked; idle > nginxFailTimeout {
		rt >>= min(62, idle/(nginxFailTimeout+1))
	}
	if rt > nginxMost {
		rt = nginxMost
	} else {
		rt += nginxCluster - rt%nginxCluster
	}
	return rt * int64(1+r.inFlight[i])
}

func (r *nginx) pick(now int64, _ uint8) int {
	second := now / int64(time.Second)
	best, ties, least := -1, 0, int64(0)
	for _, i := range r.up {
		switch eta := r.eta(second, i); {
		case best < 0 || eta < least:
			best, ties, least = i, 1, eta
		case eta == least:
			ties++
		}
	}
	if ties > 1 {
		for _, i := range r.up {
			if r.eta(second, i) == least {
				r.seen[i].turn++
				if r.seen[i].turn > r.seen[best].turn {
					best = i
				}
			}
		}
		r.seen[best].turn -= ties
	}
	if second-r.seen[best].checked > nginxFailTimeout {
		r.seen[best].checked = second
	}
	return best
}

func (r *nginx) ended(now int64, server int, e end) {
	r.members.ended(now, server, e)
	if e.status == 0 {
		return
	}
	s, v := &r.seen[server], float64(e.took/int64(time.Millisecond))
	// The module computes in whole milliseconds.
	s.avg = float64(int64(0.5 + 0.05*v + 0.95*s.avg))
}

// netScaler is LEASTRESPONSETIME: active requests times TTFB of answers with status 200, which is
// refreshed every 7 s; turns among equals, and at first: for 100 requests, and for one second's
// requests of each member when one of them comes back (CTX108886). Until the first refresh the
// values so far are used, of which the vendor says nothing.
type netScaler struct {
	members
	turns
	ttfb    []float64
	sum     []float64
	n       []float64
	since   int64
	count   int     // requests of this interval
	rate    float64 // per second in the one before; 0: there was none
	startup int     // requests still to be given out in turns
}

const (
	netScalerEvery   = 7 * time.Second
	netScalerStartup = 100
)

func newNetScaler(m members) rule {
	n := len(m.inFlight)
	return &netScaler{members: m, ttfb: make([]float64, n), sum: make([]float64, n), n: make([]float64, n), startup: netScalerStartup}
}

func (r *netScaler) pick(now int64, _ uint8) int {
	if now-r.since >= int64(netScalerEvery) {
		r.refresh(now)
	}
	r.count++
	if r.startup > 0 {
		r.startup--
		return r.least(r.up, func(int) float64 { return 0 })
	}
	return r.least(r.up, func(i int) float64 { return float64(r.inFlight[i]) * r.ttfb[i] })
}

func (r *netScaler) refresh(now int64) {
	r.rate = float64(r.count) / time.Duration(now-r.since).Seconds()
	r.since, r.count = now, 0
	for i := range r.sum {
		if r.n[i] > 0 {
			r.ttfb[i] = r.sum[i] / r.n[i]
		}
		r.sum[i], r.n[i] = 0, 0
	}
}

func (r *netScaler) ended(now int64, server int, e end) {
	r.members.ended(now, server, e)
	if e.status != 200 {
		return
	}
	r.sum[server] += float64(e.took)
	r.n[server]++
	if r.rate == 0 {
		r.ttfb[server] = r.sum[server] / r.n[server]
	}
}

func (r *netScaler) health(now int64, server int, up bool) {
	r.members.health(now, server, up)
	if up {
		r.startup = int(r.rate * float64(len(r.inFlight)))
	}
}
