package admin

import (
	"crypto/sha256"
	"sync"
	"time"
)

const (
	sessionLife = 8 * time.Hour
	sessionIdle = 30 * time.Minute
	maxSessions = 64
)

// sessions are the browsers that have shown the token. They live in memory: a restart signs
// everybody out. Only the hash of what the browser holds is kept.
type sessions struct {
	mu   sync.Mutex
	live map[[sha256.Size]byte]session
}

type session struct{ began, used time.Time }

// over says whether the session has ended at the moment now.
func (s session) over(now time.Time) bool {
	return now.Sub(s.began) >= sessionLife || now.Sub(s.used) >= sessionIdle
}

// begin makes a session and returns what the browser shall hold. When there are too many, the one
// that was not used for the longest time ends.
func (s *sessions) begin(now time.Time) string {
	secret := newSecret()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live == nil {
		s.live = make(map[[sha256.Size]byte]session)
	}
	var oldest [sha256.Size]byte
	for key, one := range s.live {
		if one.over(now) {
			delete(s.live, key)
		} else if o, ok := s.live[oldest]; !ok || one.used.Before(o.used) {
			oldest = key
		}
	}
	if len(s.live) >= maxSessions {
		delete(s.live, oldest)
	}
	s.live[sha256.Sum256([]byte(secret))] = session{began: now, used: now}
	return secret
}

// check says whether secret is that of a session. Use prolongs it.
func (s *sessions) check(secret string, now time.Time, use bool) bool {
	key := sha256.Sum256([]byte(secret))
	s.mu.Lock()
	defer s.mu.Unlock()
	one, ok := s.live[key]
	if !ok {
		return false
	}
	if one.over(now) {
		delete(s.live, key)
		return false
	}
	if use {
		one.used = now
		s.live[key] = one
	}
	return true
}

func (s *sessions) end(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.live, sha256.Sum256([]byte(secret)))
}
