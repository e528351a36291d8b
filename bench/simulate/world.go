package simulate

import (
	"math/rand/v2"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	// warmUp is played before anything is measured.
	warmUp = 10 * time.Second
	// timeLimit is how long a balancer waits for an answer. The server works on: it does not know.
	timeLimit = 5 * time.Second
)

// world is one game under way. What comes next is the smallest of few times: the next client, the
// fronts of queues in which everything waits equally long, and one time for each server. Nothing is
// allocated for an event once the queues have grown.
type world struct {
	*scenario
	now, from, to int64 // measured are clients that come in [from, to)
	delay         int64 // one way

	balancers []rule
	servers   []server
	requests  []request
	free      []int32

	toServer  ring[transit] // under way to servers
	toClient  ring[transit] // answers under way
	deadlines ring[transit]
	wakes     *soonest // servers
	script    []scene
	rate      float64
	next      int64 // client

	// Streams of chance: when clients come, what they want, what fails.
	arrivals, works, faults *rand.Rand

	open    int // measured requests without an end
	tally   tally
	latency *hdrhistogram.Histogram
}

// request is one of a client.
type request struct {
	came     int64
	begun    int64   // in a slot of the server
	work     float64 // ns
	served   int64
	queued   int32
	met      int32
	serial   uint32 // tells it from the next one with the same place
	server   int16
	balancer int16
	class    uint8
	failed   bool
	gone     bool // timed out
	measured bool
}

// transit is a request that gets somewhere at a time.
type transit struct {
	at     int64
	id     int32
	serial uint32
}

// tally is what is counted of measured requests.
type tally struct {
	requests, errors, timeOuts int64
	sent                       []int64 // to each server
	held                       int     // most requests at one server
}

func clock(ns int64) time.Duration { return time.Duration(ns) }

// play runs one game to its end.
func play(s *scenario, m ruleMaker, seed uint64, length, delay time.Duration) figures {
	w := newWorld(s, m, seed, length, delay)
	for w.now < w.to || w.open > 0 {
		w.step()
	}
	return w.figures()
}

func newWorld(s *scenario, m ruleMaker, seed uint64, length, delay time.Duration) *world {
	stream := func(n uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, n)) } // #nosec G404 -- a game, and it must repeat itself
	w := &world{
		scenario: s, from: int64(warmUp), to: int64(warmUp + length), delay: int64(delay), rate: s.rate() / float64(time.Second),
		arrivals: stream(1), works: stream(2), faults: stream(3),
		latency: hdrhistogram.New(1, timeLimit.Microseconds()+1, 3),
		wakes:   newSoonest(s.servers),
	}
	w.tally.sent = make([]int64, s.servers)
	for i := range s.servers {
		w.servers = append(w.servers, newServer(s.slots, s.speedOf(i), stream(1000+uint64(i))))
	}
	for i := range s.balancers {
		w.balancers = append(w.balancers, m.make(newMembers(s.servers, s.balancers, stream(100+uint64(i)))))
	}
	w.stage(length)
	w.next = w.gap()
	return w
}

func (w *world) gap() int64 { return w.now + int64(w.arrivals.ExpFloat64()/w.rate) + 1 }

// step plays the next event. Of those at one time, answers come first.
func (w *world) step() {
	const (
		client = iota
		back
		there
		deadline
		server
		scripted
	)
	at, what := w.next, client
	if _, wakes := w.wakes.first(); wakes < at {
		at, what = wakes, server
	}
	if w.toServer.n > 0 && w.toServer.front().at < at {
		at, what = w.toServer.front().at, there
	}
	if w.toClient.n > 0 && w.toClient.front().at <= at {
		at, what = w.toClient.front().at, back
	}
	if w.deadlines.n > 0 && w.deadlines.front().at < at {
		at, what = w.deadlines.front().at, deadline
	}
	if len(w.script) > 0 && w.script[0].at < at {
		at, what = w.script[0].at, scripted
	}
	w.now = at
	switch what {
	case client:
		w.client()
	case back:
		w.back()
	case there:
		w.there()
	case deadline:
		w.deadline()
	case server:
		w.finish()
	case scripted:
		w.perform()
	}
}

// client is a new request: a balancer chooses.
func (w *world) client() {
	w.next = w.gap()
	id := w.room()
	r := &w.requests[id]
	*r = request{came: w.now, serial: r.serial + 1, measured: w.now >= w.from && w.now < w.to}
	r.class, r.work = w.kind()
	if w.scenario.balancers > 1 {
		r.balancer = int16(w.arrivals.IntN(w.scenario.balancers)) // #nosec G115 -- few
	}
	b := w.balancers[r.balancer]
	server := b.pick(w.now, r.class)
	r.server = int16(server) // #nosec G115 -- few
	r.met = b.sent(w.now, server)
	if r.measured {
		w.open++
		w.tally.requests++
		w.tally.sent[server]++
	}
	w.toServer.push(transit{w.now + w.delay, id, r.serial})
	for w.deadlines.n > 0 && w.requests[w.deadlines.front().id].serial != w.deadlines.front().serial {
		w.deadlines.pop() // it has ended long since
	}
	w.deadlines.push(transit{w.now + int64(timeLimit), id, r.serial})
}

// kind draws class and work of a request.
func (w *world) kind() (class uint8, work float64) {
	k := &w.work[0]
	if len(w.work) > 1 {
		for p, i := w.works.Float64(), 0; i < len(w.work); i++ {
			k = &w.work[i]
			if p -= k.part; p < 0 {
				break
			}
		}
	}
	return k.class, w.works.ExpFloat64() * float64(k.mean)
}

// room is a place for a request.
func (w *world) room() int32 {
	if n := len(w.free); n > 0 {
		id := w.free[n-1]
		w.free = w.free[:n-1]
		return id
	}
	w.requests = append(w.requests, request{})
	return int32(len(w.requests) - 1) // #nosec G115 -- memory ends before
}

// there is a request that arrives at its server.
func (w *world) there() {
	id := w.toServer.pop().id
	r := &w.requests[id]
	v := &w.servers[r.server]
	if v.fails > 0 && w.faults.Float64() < v.fails {
		r.failed = true
		w.answer(id)
		return
	}
	v.put(w.now, id, w.requests)
	w.plan(int(r.server))
	if r.measured && v.held() > w.tally.held {
		w.tally.held = v.held()
	}
}

// finish is a server that is ready with a request.
func (w *world) finish() {
	i, _ := w.wakes.first()
	v := &w.servers[i]
	if v.turns <= w.now {
		w.gauge(v)
		v.turn(w.now)
	} else {
		id := v.finish(w.now, w.requests)
		r := &w.requests[id]
		r.served, r.queued = w.now-r.begun, int32(v.queue.len()) // #nosec G115 -- a queue
		w.answer(id)
	}
	w.plan(i)
}

// plan notes when a server does something next.
func (w *world) plan(i int) {
	if at := min(w.servers[i].wakes, w.servers[i].turns); at != w.wakes.times[i] {
		w.wakes.set(i, at)
	}
}

func (w *world) answer(id int32) { w.toClient.push(transit{w.now + w.delay, id, 0}) }

// back is an answer that arrives.
func (w *world) back() {
	id := w.toClient.pop().id
	r := &w.requests[id]
	if !r.gone {
		e := end{status: 200, took: w.now - r.came, class: r.class, met: r.met, served: r.served, queued: int(r.queued)}
		if r.failed {
			e.status = 500
		}
		w.balancers[r.balancer].ended(w.now, int(r.server), e)
		w.record(r, e)
	}
	r.serial++
	w.free = append(w.free, id)
}

// deadline is the time limit of a request, which may have ended before.
func (w *world) deadline() {
	t := w.deadlines.pop()
	r := &w.requests[t.id]
	if r.serial != t.serial {
		return
	}
	r.gone = true
	e := end{took: int64(timeLimit), class: r.class, met: r.met}
	w.balancers[r.balancer].ended(w.now, int(r.server), e)
	w.record(r, e)
}

// record counts the end of a measured request.
func (w *world) record(r *request, e end) {
	if !r.measured {
		return
	}
	w.open--
	switch e.status {
	case 500:
		w.tally.errors++
		return
	case 0:
		w.tally.timeOuts++
	}
	_ = w.latency.RecordValue(min(e.took, int64(timeLimit)) / int64(time.Microsecond)) // within its range
}
