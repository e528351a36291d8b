package outage

import (
	"context"
	"database/sql"
)

// query reads with a compiled query.
func (n *node) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if stmt := n.compiled(ctx, query); stmt != nil { //nolint:sqlclosecheck // it is kept
		return stmt.QueryContext(ctx, args...)
	}
	return n.db.QueryContext(ctx, query, args...)
}

// queryRow is query for one row.
func (n *node) queryRow(ctx context.Context, query string, args ...any) *sql.Row {
	if stmt := n.compiled(ctx, query); stmt != nil { //nolint:sqlclosecheck // it is kept
		return stmt.QueryRowContext(ctx, args...)
	}
	return n.db.QueryRowContext(ctx, query, args...)
}

// compiled is the query for who reads outside of a transaction, or nil.
func (n *node) compiled(ctx context.Context, query string) *sql.Stmt {
	stmt, wanted := n.queries.Find(query)
	if wanted {
		n.queries.Compile(ctx, []string{query})
		stmt, _ = n.queries.Find(query)
	}
	return stmt
}

// nodeTx is one transaction of node.db.
type nodeTx struct {
	*sql.Tx
	node  *node
	wants *[]string // queries to be compiled after it
}

// ExecContext writes with a compiled query where there is one.
func (t nodeTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	stmt, wanted := t.node.queries.Find(query)
	if wanted {
		*t.wants = append(*t.wants, query)
	}
	if stmt == nil {
		return t.Tx.ExecContext(ctx, query, args...)
	}
	return t.StmtContext(ctx, stmt).ExecContext(ctx, args...) //nolint:sqlclosecheck // it ends with the transaction
}
