package outagebench

import (
	"context"
	"net"

	"switchpoint/bench/logins"
	"switchpoint/bench/pgserver"
)

// way is one for the database to vanish, and to come back.
type way struct {
	name string
	gone func() error
	back func(context.Context) error
	// addr is where the broker finds the database; empty: where it is.
	addr  string
	close func()
}

// Names of the ways.
const (
	wayKilled  = "killed"
	wayStopped = "stopped"
	waySilent  = "silent"
)

func wayNames(quick bool) []string {
	if quick {
		return []string{waySilent}
	}
	return []string{wayKilled, wayStopped, waySilent}
}

// newWay prepares one. Close it: the database is there again then.
func newWay(name string, db *pgserver.Server) (*way, error) {
	w := &way{name: name, close: db.Resume}
	switch name {
	case wayKilled: // the kernel says so to whoever is connected
		w.gone, w.back = db.Kill, db.Restart
	case wayStopped: // connections are taken, and nothing is answered
		w.gone, w.back = db.Pause, func(context.Context) error { db.Resume(); return nil }
	default:
		host, _, _ := net.SplitHostPort(db.Addr) // the server listens there
		r, err := newRelay(host, db.Addr)
		if err != nil {
			return nil, err
		}
		w.addr, w.close = r.addr(), r.close
		w.gone = func() error { r.fallSilent(); return nil }
		w.back = func(context.Context) error { r.speak(); return nil }
	}
	return w, nil
}

// plan of a chain whose broker goes this way to its database.
func (w *way) plan(p logins.Plan) logins.Plan {
	p.Postgres = w.addr
	return p
}
