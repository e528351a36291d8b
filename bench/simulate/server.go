package simulate

import (
	"math"
	"math/rand/v2"
)

// never is a time that does not come.
const never = math.MaxInt64

// server works on up to len(slots) requests at once, in the order in which they came. Its clock
// runs as fast as it works: a request in a slot is finished when that clock has gone on by the
// request's work, so a change of speed touches no request.
type server struct {
	slots []slot // the first busy ones are taken
	busy  int
	queue ring[int32]
	clock float64 // work done by a slot that was always busy, in nanoseconds
	at    int64   // when clock was right
	speed float64
	wakes int64   // when a request is finished
	fails float64 // that part of its answers are instant errors

	// What makes up the speed.
	own      float64
	slowed   bool  // in a slow second
	turns    int64 // when that changes
	scripted float64
	trouble  *rand.Rand
	// ability is the work that a slot could do in the measured time.
	ability float64
	gauged  int64 // up to here
}

// slot is a request under work.
type slot struct {
	finish float64 // on the server's clock
	id     int32
}

func newServer(slots int, own float64, trouble *rand.Rand) server {
	return server{slots: make([]slot, slots), speed: own, own: own, scripted: 1, wakes: never, turns: never, trouble: trouble}
}

// held is the number of requests at the server.
func (s *server) held() int { return s.busy + s.queue.len() }

// run brings the clock to now.
func (s *server) run(now int64) {
	s.clock += float64(now-s.at) * s.speed
	s.at = now
}

// adjust works on with what the speed is now made up of.
func (s *server) adjust(now int64) {
	s.run(now)
	s.speed = s.own * s.scripted
	if s.slowed {
		s.speed *= stutterSpeed
	}
	s.plan()
}

// turn begins or ends a slow second.
func (s *server) turn(now int64) {
	s.slowed = !s.slowed
	s.plant(now)
	s.adjust(now)
}

// plant draws when the server turns next.
func (s *server) plant(now int64) {
	mean := stutterEvery
	if s.slowed {
		mean = stutterMean
	}
	s.turns = now + 1 + int64(s.trouble.ExpFloat64()*float64(mean))
}

// put gives a request to the server.
func (s *server) put(now int64, id int32, requests []request) {
	s.run(now)
	if s.busy == len(s.slots) {
		s.queue.push(id)
		return
	}
	s.begin(now, id, requests)
	s.plan()
}

// begin takes a request into a free slot.
func (s *server) begin(now int64, id int32, requests []request) {
	r := &requests[id]
	r.begun = now
	at, finish := s.busy, s.clock+r.work
	for at > 0 && s.slots[at-1].finish < finish {
		s.slots[at] = s.slots[at-1]
		at--
	}
	s.slots[at] = slot{finish, id}
	s.busy++
}

// finish takes out the request that is ready and begins the next one.
func (s *server) finish(now int64, requests []request) int32 {
	s.run(now)
	s.busy--
	id := s.slots[s.busy].id
	if s.queue.len() > 0 {
		s.begin(now, s.queue.pop(), requests)
	}
	s.plan()
	return id
}

// plan finds when a request is finished next.
func (s *server) plan() {
	if s.busy == 0 || s.speed <= 0 {
		s.wakes = never
		return
	}
	s.wakes = s.at + int64(math.Ceil(max(0, s.slots[s.busy-1].finish-s.clock)/s.speed))
}
