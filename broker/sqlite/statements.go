package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// statementsMost bounds what is kept compiled: the queries of this package are constants, a few are made
// of a variable number of parts.
const statementsMost = 256

// statements keeps the queries of a pool compiled. The driver compiles a query each time that it is given
// as text, which is a third of the CPU of a login. A query is compiled after the transaction in which
// it was first used, because a pool of one connection has no other for it meanwhile.
type statements struct {
	db *sql.DB

	mu    sync.Mutex
	ready map[string]*sql.Stmt
}

func newStatements(db *sql.DB) *statements {
	return &statements{db: db, ready: make(map[string]*sql.Stmt)}
}

// find returns the compiled query, or nil. It is to be compiled then, if there is room.
func (s *statements) find(query string) (stmt *sql.Stmt, wanted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stmt = s.ready[query]
	return stmt, stmt == nil && len(s.ready) < statementsMost
}

// compile keeps queries compiled. One that cannot be is an error where it is used. It waits for a connection
// no longer than ctx does: the next call compiles what is missing.
func (s *statements) compile(ctx context.Context, queries []string) {
	for _, q := range queries {
		if _, wanted := s.find(q); !wanted { //nolint:sqlclosecheck // it is kept
			continue
		}
		stmt, err := s.db.PrepareContext(ctx, q)
		if err != nil {
			continue
		}
		s.keep(q, stmt)
	}
}

func (s *statements) keep(query string, stmt *sql.Stmt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready == nil || s.ready[query] != nil || len(s.ready) >= statementsMost {
		_ = stmt.Close() // somebody else was first, or the store was closed meanwhile
		return
	}
	s.ready[query] = stmt
}

func (s *statements) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, stmt := range s.ready {
		errs = append(errs, stmt.Close())
	}
	s.ready = nil
	return errors.Join(errs...)
}
