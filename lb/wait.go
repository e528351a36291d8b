package lb

import (
	"net/netip"
	"time"

	"switchpoint/healthcheck"
	"switchpoint/lb/choice"
)

// take chooses a member among those with a place, and takes it; -1 where there is none. number is
// the waiter's, or newcomer: whoever came earlier goes first, except that a client may use a place at
// the member that it had.
func (lp *livePool) take(q *choice.Question, now int64, number uint64) (int, choice.Reason) {
	for i, u := range lp.ups {
		if u.queue.ahead(number) {
			q.Loads[i].Full = true
		}
	}
	for {
		i, r := choice.Pick(q)
		if i < 0 {
			return -1, r
		}
		if r.How != choice.Persisted && r.How != choice.PersistedDraining && lp.queue.ahead(number) {
			r.How = choice.AllFull
			return -1, r
		}
		if lp.ups[i].enter(now, q.Class, lp.dial.timeout) {
			lp.ups[i].chosen.by[r.How].Add(1)
			return i, r
		}
		q.Loads[i].Full = true
	}
}

// refill reads the loads and states anew for a question that was asked before. What failed for it
// stays so.
func (lp *livePool) refill(q *choice.Question, client netip.Addr, snap *healthcheck.Snapshot, now int64) {
	lp.fillStates(q, snap)
	for i := range q.Loads {
		tried := q.Loads[i].Tried
		q.Loads[i] = lp.load(q, i, now)
		q.Loads[i].Tried = tried
	}
	lp.fillMethod(q, client)
}

// seeker is a request, or a tcp connection, that looks for a place.
type seeker interface {
	// again chooses again for the waiter with that number, by the table that is in force now, and
	// takes a place if there is one.
	again(number uint64) choice.How
	// line is the queue in which it waits after how.
	line(how choice.How) *queue
	// isThere asks a client that has closed its side whether it still waits.
	isThere() error
}

// wait waits in line until again says something else than that all are full. It is called
// in the client's own goroutine.
func (p *Proxy) wait(s seeker, c *clientConn, lp *livePool, how choice.How) waited {
	waits := &lp.waits
	if waits.Add(1) > int64(lp.maxWaiting) {
		waits.Add(-1)
		return queueFull
	}
	defer waits.Add(-1)
	w := &waiter{kicked: make(chan struct{}, 1), number: lp.came.Add(1)}
	c.waits.Store(w)
	defer c.waits.Store(nil)
	c.enter(phaseQueued)
	defer c.enter(phaseActive)
	due := p.now() + int64(lp.queueTimeout)
	line := s.line(how)
	line.enter(w)
	defer func() {
		line.leave(w)
		lp.queue.kick() // its first may have been behind w
	}()
	for {
		if w.cut.Load() || !c.until(due) {
			if end := w.heed(s, c, p.now()+int64(stallTimeout)); end != gotPlace {
				return end
			}
			continue
		}
		<-w.kicked
		if w.cut.Load() || c.spoken() != 0 || !line.isFirst(w) {
			continue
		}
		if how = s.again(w.number); !how.Full() {
			return c.settled()
		}
		if next := s.line(how); next != line {
			line.leave(w)
			line = next
			line.enter(w)
		}
	}
}

// heed judges a word of the watcher, or the end of the process. gotPlace: wait on. The client has
// until then to take the question whether it is there.
func (w *waiter) heed(s seeker, c *clientConn, until int64) waited {
	word, err := c.revive()
	switch {
	case w.cut.Load() || err != nil || word == gone:
		return queueLeft
	case word == overdue:
		return queueLate
	case !c.until(until) || s.isThere() != nil:
		return queueLeft
	}
	w.kick() // it may have been told of a place meanwhile
	return gotPlace
}

// settled ends a wait that was not in vain. The watcher may have spoken in the last moment: that
// does not count any more, unless the client is gone.
func (c *clientConn) settled() waited {
	for !c.until(0) {
		if word, err := c.revive(); err != nil || word == gone {
			return queueLeft
		}
	}
	return gotPlace
}

// lineFor is the queue for those that got how: that of their own member where a session lives
// there, else that of the pool.
func (lp *livePool) lineFor(how choice.How, bound int) *queue {
	if how == choice.BoundFull {
		return &lp.ups[bound].queue
	}
	return &lp.queue
}

// sameIn finds the pool of t in a listener as it is configured now; t itself where it is gone.
func (t *target) sameIn(l *liveListener) *target {
	for i := range l.targets {
		if l.targets[i].poolState == t.poolState {
			return &l.targets[i]
		}
	}
	return t
}

// requestSeeker is a request.
type requestSeeker struct {
	*exchange
	addr netip.Addr
}

func (s requestSeeker) again(number uint64) choice.How {
	s.ready = s.p.now()
	s.seen = s.ready
	if t := s.pool.sameIn(s.p.live.Load().listeners[s.listener.n]); t != s.pool {
		s.pool = t
		s.ask(s.addr)
	} else {
		s.pool.refill(&s.q, s.addr, s.p.snapshot(), s.ready)
	}
	s.choose(number)
	return s.reason.How
}

func (s requestSeeker) line(how choice.How) *queue { return s.pool.lineFor(how, s.q.Persisted) }

// isThere sends an interim answer: a closed socket answers it with a reset, which the watcher sees.
func (s requestSeeker) isThere() error {
	if !s.head.http11 {
		return nil
	}
	_, err := s.client.Write([]byte("HTTP/1.1 102 Processing\r\n\r\n"))
	return err
}

// seek goes on where the pool gave no member: it waits for a place, or turns to the backup pool.
// It answers the client where that does not help.
func (ex *exchange) seek(addr netip.Addr) bool {
	for ex.member < 0 {
		switch {
		case ex.reason.How.Full():
			from := ex.p.now()
			end := ex.p.wait(requestSeeker{ex, addr}, ex.client, ex.pool.livePool, ex.reason.How)
			ex.pool.waitEnds[end].Inc()
			ex.body.begun += ex.p.now() - from // the client could send no more meanwhile
			switch end {
			case gotPlace:
			case queueLeft:
				ex.leave()
				ex.member, ex.closing = -1, true
				return false
			default:
				ex.noMember(end)
				return false
			}
		case ex.pool.backup != nil:
			if ex.instead == nil {
				ex.instead = ex.pool.jsonName
			}
			ex.pool = ex.pool.backup
			ex.ask(addr)
			ex.choose(newcomer)
		default:
			ex.noMember(gotPlace)
			return false
		}
	}
	return true
}

// tcpSeeker is a connection of a tcp listener.
type tcpSeeker struct {
	*tcpSession
	q       choice.Question
	visitor visitor
	picked  int
}

func (s *tcpSeeker) ask() {
	now := s.p.now()
	s.target.ask(&s.q, s.client.peer, s.p.snapshot(), now)
	s.target.recognise(&s.visitor, &s.q, time.Duration(now))
}

func (s *tcpSeeker) pick(number uint64) {
	s.picked, s.reason = s.target.take(&s.q, s.p.now(), number)
}

func (s *tcpSeeker) again(number uint64) choice.How {
	if t := s.target.sameIn(s.p.live.Load().listeners[s.listener.n]); t != s.target {
		s.target = t
		s.ask()
	} else {
		s.target.refill(&s.q, s.client.peer, s.p.snapshot(), s.p.now())
	}
	s.pick(number)
	return s.reason.How
}

func (s *tcpSeeker) line(how choice.How) *queue { return s.target.lineFor(how, s.q.Persisted) }

// isThere: a client of any protocol may send all it has and close its side.
func (s *tcpSeeker) isThere() error { return nil }

// seek goes on where the pool gave no member, as that of an exchange.
func (s *tcpSeeker) seek() bool {
	for s.picked < 0 {
		switch {
		case s.reason.How.Full():
			end := s.p.wait(s, s.client, s.target.livePool, s.reason.How)
			s.target.waitEnds[end].Inc()
			if end == queueLeft && s.picked >= 0 {
				s.target.left(s.target.ups[s.picked], s.p.now(), 0)
				s.picked = -1
			}
			if end != gotPlace {
				if end == queueLeft {
					s.note(clientBroke)
				}
				return false
			}
		case s.target.backup != nil:
			if s.instead == nil {
				s.instead = s.target.jsonName
			}
			s.target = s.target.backup
			s.ask()
			s.pick(newcomer)
		default:
			return false
		}
	}
	return true
}
