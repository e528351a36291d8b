package lb

import (
	"crypto/tls"
	"net"
	"time"

	"switchpoint/healthcheck"
)

// ending is how a connection ended. The words are those of metrics and access log.
type ending uint8

const (
	open        ending = iota
	finished           // of one direction: everything was moved
	clientEnd          // both directions ended in order, the client's first
	memberEnd          // the same, the member's first
	clientBroke        // the client reset the connection or vanished
	memberBroke        // the member did
	idleEnd            // nothing moved for idle_timeout
	drained            // this process stops
	memberDown         // the member went down and its pool has on_down = "close"
	noMember           // there was none to connect to
	unused             // the client left before a member was needed
	endings
)

// String is the word.
func (e ending) String() string {
	return [...]string{"open", "finished", "client", "member", "client-broke", "member-broke", "idle", "drain", "member-down", "no-member", "unused"}[e]
}

// ending is how the connection ended, open while it has not.
func (s *tcpSession) ending() ending {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}

// note records how the connection ended: what came first, except that an end in order of one half
// is not the whole story where the other half breaks later.
func (s *tcpSession) note(e ending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noteLocked(e)
}

func (s *tcpSession) noteLocked(e ending) {
	switch s.over {
	case open:
		s.over = e
	case clientEnd:
		if e != memberEnd && e != clientBroke {
			s.over = e
		}
	case memberEnd:
		if e != clientEnd && e != memberBroke {
			s.over = e
		}
	}
}

// cut ends both connections at once. They are reset: after an end that the other side did not
// order, nobody may take what came so far for the whole.
func (s *tcpSession) cut(e ending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken {
		return
	}
	s.noteLocked(e)
	s.broken = true
	reset(s.client.raw)
	if s.member != nil {
		reset(s.member)
	}
}

// reset closes a connection without a farewell; whoever uses it sees the error.
func reset(c net.Conn) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn() // its Close would wait for a writer
	}
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // a close without it is as good
	}
	_ = c.Close()
}

// finish closes what is open and tells figures and log.
func (s *tcpSession) finish() {
	s.mu.Lock()
	member, up, over := s.member, s.up, s.over
	s.mu.Unlock()
	_ = s.client.Conn.Close()
	if member != nil {
		_ = member.Close()
		s.target.left(up, s.p.now(), 0)
		s.series.open.Dec()
	} else {
		s.series = &s.target.tcp[len(s.target.tcp)-1]
	}
	s.series.ends[over].Inc()
	s.log(over)
}

// log writes the connection's line in the access log, where it is one of the sample or a failure.
func (s *tcpSession) log(over ending) {
	l, c := s.listener, s.client
	failed := over == noMember || over == memberBroke
	if l.log == nil || !failed && c.number%l.logSample != 0 {
		return
	}
	line := append(make([]byte, 0, 512), `{"time":"`...)
	line = s.began.UTC().AppendFormat(line, "2006-01-02T15:04:05.000000Z")
	line = append(append(line, `","listener":`...), l.jsonName...)
	line = append(append(line, `,"client":"`...), c.peer.String()...)
	line = appendText(append(line, '"'), "sni", s.name)
	line = append(append(line, `,"pool":`...), s.target.jsonName...)
	if s.index >= 0 {
		line = append(append(line, `,"member":`...), s.target.jsonMembers[s.index]...)
		line = appendMillis(line, "connect_ms", s.connect)
	}
	line = appendInstead(line, s.instead)
	line = appendInt(line, "bytes_in", s.in.bytes.Load())
	line = appendInt(line, "bytes_out", s.out.bytes.Load())
	line = appendMillis(line, "duration_ms", time.Since(s.began))
	line = appendInt(line, "retries", int64(s.retries))
	line = appendText(line, "picked", s.reason.How.String())
	line = appendText(line, "end", over.String())
	line = appendText(line, "tls", c.tlsVersion)
	l.log.add(c.number, append(line, "}\n"...))
}

// closeDown ends the connections to members that their monitors found down, where the pool wants
// that. One that only the traffic has ejected keeps them: those that are open still work.
func (p *Proxy) closeDown(now *live) {
	var down map[*upstream]bool
	for _, lp := range now.pools {
		if !lp.closeOnDown {
			continue
		}
		snap := p.snapshot()
		for i, u := range lp.ups {
			if s := snap.Member(lp.members[i].check); s.State == healthcheck.Down && s.Source != healthcheck.FromTraffic {
				if down == nil {
					down = make(map[*upstream]bool)
				}
				down[u] = true
			}
		}
	}
	if down == nil {
		return
	}
	for _, l := range p.listeners {
		for _, s := range l.conns.sessions() {
			if s.isAt(down) {
				s.cut(memberDown)
			}
		}
	}
}

// sessions lists the connections of a tcp listener.
func (s *connSet) sessions() []*tcpSession {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*tcpSession
	for c := range s.m {
		if one := c.tcp.Load(); one != nil {
			out = append(out, one)
		}
	}
	return out
}

func (s *tcpSession) isAt(members map[*upstream]bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.up != nil && members[s.up]
}
