package simulate

import "time"

// scenario is one situation to play. Times of what happens once are parts of the measured time.
type scenario struct {
	id, name  string
	balancers int     // that know nothing of each other; each client asks any of them
	servers   int     // slots each, first come, first served
	slots     int     // requests that a server works on at once
	load      float64 // offered, as a part of what all servers can do together
	work      []work  // kinds of request
	slow      int     // so many servers work at half speed
	stutter   bool    // servers have slow seconds: see stutterEvery
	failer    float64 // the last server answers so many of its requests with an instant error
	storm     storm
	absence   absence
	stall     stall
	length    time.Duration // measured, where it is not the caller's to say
}

// work is a kind of request: its class for balancers that tell classes apart, its part of all
// requests, and the mean of its exponential work.
type work struct {
	class uint8
	part  float64
	mean  time.Duration
}

// storm multiplies the load for a while.
type storm struct{ times, from, to float64 }

// absence takes the first server away until back; it then works at coldSpeed at first, and at full
// speed after cold.
type absence struct {
	back      float64
	cold      time.Duration
	coldSpeed float64
}

// stall slows the first server down once.
type stall struct {
	at    float64
	lasts time.Duration
	speed float64
}

// The slow seconds of servers that stutter: exponential times of stutterMean at stutterSpeed of
// what they do else, with exponential times of stutterEvery between them.
const (
	stutterEvery = 9 * time.Second
	stutterMean  = time.Second
	stutterSpeed = 0.4
	slowSpeed    = 0.5
)

// scenarios are what is played. They were written before any rule was tuned, and are not changed
// to suit one.
func scenarios() []scenario {
	mean20 := []work{{part: 1, mean: 20 * time.Millisecond}}
	// The farm of the first five: 20 servers of 8 slots, 4 of them at half speed, all stuttering,
	// exponential work of 20 ms.
	farm := func(id, name string, balancers int, load float64) scenario {
		return scenario{id: id, name: name, balancers: balancers, servers: 20, slots: 8, load: load, work: mean20, slow: 4, stutter: true}
	}
	// One balancer sees all requests: what it knows is always fresh.
	one70 := farm("1-70", "1 balancer, 70 % load", 1, 0.7)
	one90 := farm("1-90", "1 balancer, 90 % load", 1, 0.9)
	// Eight balancers see an eighth each: rules that all look at the same figure run to the same
	// server, and requests in flight are mostly those of others.
	eight70 := farm("8-70", "8 balancers, 70 % load", 8, 0.7)
	eight90 := farm("8-90", "8 balancers, 90 % load", 8, 0.9)
	// A server that fails fast looks like the best one to whoever measures time: it is never busy.
	// Health checks do not see it, since a tenth of its answers is good.
	failer := farm("failer", "one of 20 servers fails fast, 70 % load", 1, 0.7)
	failer.failer = 0.9
	return []scenario{
		one70, one90, eight70, eight90, failer,
		// Ten equal servers, one of which is away when everybody signs in. It comes back in the
		// middle of the storm with nothing in flight, which draws everybody to it, and with cold
		// caches. Half load normally, 1.6 times that in the storm.
		{
			id: "storm", name: "a server returns, cold, in a login storm", balancers: 1, servers: 10, slots: 8, load: 0.5, work: mean20,
			storm:   storm{times: 1.6, from: 0.1, to: 0.8},
			absence: absence{back: 0.3, cold: 30 * time.Second, coldSpeed: 0.25},
		},
		// Equal servers get equal shares: a rule that is led by chance keeps one without work.
		{id: "equal", name: "5 equal servers, 70 % load, 60 s", balancers: 1, servers: 5, slots: 8, load: 0.7, work: mean20, length: time.Minute},
		// The same at little load, and one of them is slow once, for two seconds: a rule without
		// forgetting avoids it for ever after, since without requests there are no better figures.
		{
			id: "stall", name: "5 equal servers, 10 % load, one stalls once", balancers: 1, servers: 5, slots: 8, load: 0.1, work: mean20, length: time.Minute,
			stall: stall{at: 0.05, lasts: 2 * time.Second, speed: 0.02},
		},
		// One request in ten is a sign-in, sixteen times as dear as the others: a server that got
		// three of them in a row is not slow. Class 1 is what a pool calls "login".
		{
			id: "mixed", name: "cheap requests and dear sign-ins, 70 % load", balancers: 1, servers: 20, slots: 8, load: 0.7, slow: 4, stutter: true,
			work: []work{{class: 0, part: 0.9, mean: 8 * time.Millisecond}, {class: 1, part: 0.1, mean: 128 * time.Millisecond}},
		},
	}
}

// meanWork is the mean over all kinds of request.
func (s *scenario) meanWork() time.Duration {
	sum := 0.0
	for _, w := range s.work {
		sum += w.part * float64(w.mean)
	}
	return time.Duration(sum)
}

// speedOf is a server's own speed: the first ones are the slow ones.
func (s *scenario) speedOf(server int) float64 {
	if server < s.slow {
		return slowSpeed
	}
	return 1
}

// rate is the number of requests in a second at normal load.
func (s *scenario) rate() float64 {
	speed := 0.0
	for i := range s.servers {
		speed += s.speedOf(i)
	}
	if s.stutter {
		bad := stutterMean.Seconds() / (stutterMean + stutterEvery).Seconds()
		speed *= 1 - bad*(1-stutterSpeed)
	}
	return s.load * speed * float64(s.slots) / s.meanWork().Seconds()
}
