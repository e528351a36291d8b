package outage

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// nodeStatements keeps the queries of node.db compiled: to compile them each time is half of what a login without
// the database costs there.
type nodeStatements struct {
	mu    sync.Mutex
	ready map[string]*sql.Stmt // by their text: all are constants
}

// find returns the compiled query, or nil.
func (s *nodeStatements) find(query string) *sql.Stmt {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready[query]
}

// keep has a compiled query found from now on.
func (s *nodeStatements) keep(query string, stmt *sql.Stmt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready == nil {
		s.ready = make(map[string]*sql.Stmt)
	}
	if s.ready[query] != nil {
		_ = stmt.Close() // somebody else was first
		return
	}
	s.ready[query] = stmt
}

func (s *nodeStatements) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, stmt := range s.ready {
		errs = append(errs, stmt.Close())
	}
	s.ready = nil
	return errors.Join(errs...)
}

// compile keeps a query compiled, for whoever writes it next. It may open a connection, which a transaction that
// writes keeps waiting: so not in one.
func (n *node) compile(ctx context.Context, queries []string) {
	for _, q := range queries {
		if n.stmts.find(q) != nil {
			continue
		}
		if stmt, err := n.db.PrepareContext(ctx, q); err == nil { // else its next use says so
			n.stmts.keep(q, stmt)
		}
	}
}

// query reads with a compiled query.
func (n *node) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	n.compile(ctx, []string{query})
	if stmt := n.stmts.find(query); stmt != nil { //nolint:sqlclosecheck // it is kept
		return stmt.QueryContext(ctx, args...)
	}
	return n.db.QueryContext(ctx, query, args...)
}

// queryRow is query for one row.
func (n *node) queryRow(ctx context.Context, query string, args ...any) *sql.Row {
	n.compile(ctx, []string{query})
	if stmt := n.stmts.find(query); stmt != nil { //nolint:sqlclosecheck // it is kept
		return stmt.QueryRowContext(ctx, args...)
	}
	return n.db.QueryRowContext(ctx, query, args...)
}

// nodeTx is one transaction of node.db.
type nodeTx struct {
	*sql.Tx
	node  *node
	wants *[]string // queries to be compiled after it
}

// ExecContext writes with a compiled query where there is one.
func (t nodeTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	stmt := t.node.stmts.find(query)
	if stmt == nil {
		*t.wants = append(*t.wants, query)
		return t.Tx.ExecContext(ctx, query, args...)
	}
	return t.StmtContext(ctx, stmt).ExecContext(ctx, args...) //nolint:sqlclosecheck // it ends with the transaction
}
