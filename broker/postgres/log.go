package postgres

import (
	"context"
	"strings"
	"time"

	"switchpoint/broker"
)

// logColumns are the columns of a log row, in the order of all statements that write one.
const logColumns = `id, at, ref, kind, code, directory, user_name, client_addr, client_name, site_id, session_id, desktop, duration_us, reason`

// A hot statement writes its log row by itself: the row is its parameters $5 to $17, and what depends on the
// outcome stands between these parts.
const (
	logInsert   = `INSERT INTO log (` + logColumns + `) SELECT $5::uuid, now(), $6::text, `
	logKind     = `$7::text, $8::text`
	logWho      = `, $9::text, $10::text, $11::text, $12::text, $13::integer, `
	logSession  = `$14::uuid`
	logDesktop  = `$15::text`
	logDuration = `, $16::bigint, $17::text`
)

// logArgs are the parameters of r.
func logArgs(r broker.LogRow) []any {
	return []any{r.ID, r.Ref, r.Kind, r.Code, r.Directory, r.User, r.ClientAddr, r.ClientName, r.SiteID, orNull(r.Session),
		r.Desktop, r.Duration.Microseconds(), strings.Join(r.Reason, "\n")}
}

// orNull makes an id that is not there NULL.
func orNull(id string) any {
	if id == "" {
		return nil
	}
	return id
}

func appendLog(l link, r broker.LogRow) error {
	_, err := l.exec(`INSERT INTO log (`+logColumns+`) VALUES ($1, now(), $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING`, logArgs(r)...)
	return err
}

// AppendLog implements broker.Store.
func (s *Store) AppendLog(ctx context.Context, row broker.LogRow) error {
	return s.once(ctx, "append log", func(l link) error { return appendLog(l, row) })
}

// LogByRef implements broker.Store.
func (s *Store) LogByRef(ctx context.Context, ref string) (broker.LogRow, error) {
	var r broker.LogRow
	err := s.ask(ctx, "find log row", func(l link) error {
		r = broker.LogRow{}
		var us int64
		var reason string
		var session *string
		err := l.row(`SELECT `+logColumns+` FROM log WHERE ref = $1 ORDER BY id DESC LIMIT 1`, ref).Scan(&r.ID, &r.At, &r.Ref, &r.Kind, &r.Code,
			&r.Directory, &r.User, &r.ClientAddr, &r.ClientName, &r.SiteID, &session, &r.Desktop, &us, &reason)
		r.At, r.Duration = r.At.UTC(), time.Duration(us)*time.Microsecond
		if session != nil {
			r.Session = *session
		}
		if reason != "" {
			r.Reason = strings.Split(reason, "\n")
		}
		return err
	})
	return r, err
}
