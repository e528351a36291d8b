package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"switchpoint/broker"
)

// ImportAssignments implements broker.Store.
func (s *Store) ImportAssignments(ctx context.Context, list []broker.Assignment, dryRun bool, log broker.LogRow) (out []broker.AssignmentVerdict, err error) {
	err = s.write(ctx, "import assignments", func(t txn) error {
		out = make([]broker.AssignmentVerdict, len(list))
		desktops := make([]string, len(list))
		act := !dryRun
		for i, a := range list {
			f, id, err := assignmentFacts(t, a.Desktop)
			if err != nil {
				return err
			}
			desktops[i], out[i] = id, f.Judge(a)
			act = act && out[i].Verdict != broker.AssignRefused
		}
		if !act {
			return nil
		}
		done := 0
		for i, a := range list {
			n, err := writeAssignment(t, desktops[i], a, out[i].Verdict)
			if err != nil {
				return err
			}
			done += n
		}
		if done == 0 {
			return nil
		}
		log.Reason = append(log.Reason, fmt.Sprintf("%d of them were new", done))
		return appendLog(t, log)
	})
	return out, err
}

// assignmentFacts looks at one desktop.
func assignmentFacts(t txn, desktop string) (f broker.AssignmentFacts, id string, err error) {
	err = t.row(`SELECT d.id, COALESCE(p.name, ''), COALESCE(p.kind = 'pooled', 0), COALESCE(a.directory, ''), COALESCE(a.user, ''),
		COALESCE(a.source = 'setup', 0), COALESCE(c.directory, ''), COALESCE(c.user, '')
		FROM desktop d LEFT JOIN desktop_pool p ON p.id = d.pool_id LEFT JOIN assignment a ON a.desktop_id = d.id LEFT JOIN claim c ON c.desktop_id = d.id
		WHERE d.name = ? AND d.deleted_at IS NULL`, desktop).
		Scan(&id, &f.Pool, &f.Pooled, &f.Owner.Directory, &f.Owner.User, &f.FromSetup, &f.HeldBy.Directory, &f.HeldBy.User)
	if errors.Is(err, sql.ErrNoRows) {
		return f, "", nil
	}
	f.Known = err == nil
	return f, id, err
}

func writeAssignment(t txn, desktop string, a broker.Assignment, verdict string) (int, error) {
	switch verdict {
	case broker.AssignAdd, broker.AssignChange:
		return t.exec(`INSERT OR REPLACE INTO assignment (desktop_id, directory, user, position, source) VALUES (?, ?, ?, 0, 'import')`,
			desktop, a.Directory, a.User)
	case broker.AssignRemove:
		return t.exec(`DELETE FROM assignment WHERE desktop_id = ?`, desktop)
	}
	return 0, nil
}

// ImportedAssignments implements broker.Store.
func (s *Store) ImportedAssignments(ctx context.Context) (out []broker.Assignment, err error) {
	err = s.read(ctx, "list imported assignments", func(t txn) error {
		out = nil
		return each(t, `SELECT a.user, a.directory, d.name FROM assignment a JOIN desktop d ON d.id = a.desktop_id
			WHERE a.source = 'import' AND d.deleted_at IS NULL ORDER BY d.name`, func(r *sql.Rows) error {
			var a broker.Assignment
			err := r.Scan(&a.User, &a.Directory, &a.Desktop)
			out = append(out, a)
			return err
		})
	})
	return out, err
}
