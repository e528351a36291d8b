package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// queriesMost bounds what is kept: queries are constants, a few are made of a variable number of parts.
const queriesMost = 256

// Queries keeps those of a pool of connections compiled. The driver compiles a query each time that it is given as
// text, which was a third of the CPU of a login. A query is compiled after the transaction in which it was
// first used: a pool of one connection has no other for it meanwhile, and to open one may need the lock that
// a transaction has which writes. Its methods may be used from any goroutine.
type Queries struct {
	db *sql.DB

	mu    sync.Mutex
	ready map[string]*sql.Stmt
}

// NewQueries keeps nothing yet.
func NewQueries(db *sql.DB) *Queries {
	return &Queries{db: db, ready: make(map[string]*sql.Stmt)}
}

// Find returns the compiled query, or nil. It is to be compiled then, if there is room.
func (s *Queries) Find(query string) (stmt *sql.Stmt, wanted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stmt = s.ready[query]
	return stmt, stmt == nil && len(s.ready) < queriesMost
}

// Compile keeps queries compiled. One that cannot be is an error where it is used. It waits for a connection
// no longer than ctx does: the next call compiles what is missing.
func (s *Queries) Compile(ctx context.Context, queries []string) {
	for _, q := range queries {
		if _, wanted := s.Find(q); !wanted { //nolint:sqlclosecheck // it is kept
			continue
		}
		stmt, err := s.db.PrepareContext(ctx, q)
		if err != nil {
			continue
		}
		s.keep(q, stmt)
	}
}

func (s *Queries) keep(query string, stmt *sql.Stmt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready == nil || s.ready[query] != nil || len(s.ready) >= queriesMost {
		_ = stmt.Close() // somebody else was first, or the store was closed meanwhile
		return
	}
	s.ready[query] = stmt
}

// Close forgets them all.
func (s *Queries) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, stmt := range s.ready {
		errs = append(errs, stmt.Close())
	}
	s.ready = nil
	return errors.Join(errs...)
}
