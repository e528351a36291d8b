package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"switchpoint/broker"
)

// assignmentRow is what is known of one desktop of an import.
type assignmentRow struct {
	desktop string
	broker.AssignmentFacts
}

// ImportAssignments implements broker.Store. The desktops are locked before they are judged, so that
// nobody connects to one that is being given away.
func (s *Store) ImportAssignments(ctx context.Context, list []broker.Assignment, dryRun bool, log broker.LogRow) (out []broker.AssignmentVerdict, err error) {
	names := make([]string, len(list))
	for i, a := range list {
		names[i] = a.Desktop
	}
	err = s.write(ctx, "import assignments", func(l link) error {
		if err := alone(l); err != nil {
			return err
		}
		if _, err := l.exec(`SELECT FROM desktop WHERE deleted_at IS NULL AND name = ANY ($1::text[]) ORDER BY id FOR NO KEY UPDATE`, names); err != nil {
			return err
		}
		facts, err := assignmentFacts(l, names)
		if err != nil {
			return err
		}
		out = make([]broker.AssignmentVerdict, len(list))
		act := !dryRun
		for i, a := range list {
			out[i] = facts[a.Desktop].Judge(a)
			act = act && out[i].Verdict != broker.AssignRefused
		}
		if !act {
			return nil
		}
		done, err := writeImport(l, list, out, facts)
		if err != nil || done == 0 {
			return err
		}
		row := log // another attempt begins with it anew
		row.Reason = append(append([]string{}, log.Reason...), fmt.Sprintf("%d of them were new", done))
		return appendLog(l, row)
	})
	return out, err
}

func assignmentFacts(l link, names []string) (map[string]assignmentRow, error) {
	facts := make(map[string]assignmentRow, len(names))
	err := l.each(`SELECT d.name, d.id, COALESCE(p.name, ''), COALESCE(p.kind = 'pooled', false), COALESCE(a.directory, ''), COALESCE(a.user_name, ''),
		COALESCE(a.source = 'setup', false), COALESCE(d.claim_directory, ''), COALESCE(d.claim_user, '')
		FROM desktop d LEFT JOIN desktop_pool p ON p.id = d.pool_id LEFT JOIN assignment a ON a.desktop_id = d.id
		WHERE d.name = ANY ($1::text[]) AND d.deleted_at IS NULL`, func(r pgx.Row) error {
		var name string
		f := assignmentRow{AssignmentFacts: broker.AssignmentFacts{Known: true}}
		err := r.Scan(&name, &f.desktop, &f.Pool, &f.Pooled, &f.Owner.Directory, &f.Owner.User, &f.FromSetup, &f.HeldBy.Directory, &f.HeldBy.User)
		facts[name] = f
		return err
	}, names)
	return facts, err
}

// writeImport does what the verdicts say, and counts it.
func writeImport(l link, list []broker.Assignment, verdicts []broker.AssignmentVerdict, facts map[string]assignmentRow) (int, error) {
	var gone, desktops, directories, users []string
	for i, a := range list {
		switch id := facts[a.Desktop].desktop; verdicts[i].Verdict {
		case broker.AssignRemove:
			gone = append(gone, id)
		case broker.AssignAdd, broker.AssignChange:
			desktops, directories, users = append(desktops, id), append(directories, a.Directory), append(users, a.User)
		}
	}
	removed, err := l.exec(`DELETE FROM assignment WHERE desktop_id = ANY ($1::uuid[])`, gone)
	if err != nil {
		return 0, err
	}
	made, err := l.exec(`INSERT INTO assignment (desktop_id, directory, user_name, position, source)
		SELECT desktop, directory, user_name, 0, 'import' FROM unnest($1::uuid[], $2::text[], $3::text[]) AS i (desktop, directory, user_name)
		ON CONFLICT (desktop_id) DO UPDATE SET directory = excluded.directory, user_name = excluded.user_name, position = 0, source = 'import'`,
		desktops, directories, users)
	return removed + made, err
}

// ImportedAssignments implements broker.Store.
func (s *Store) ImportedAssignments(ctx context.Context) (out []broker.Assignment, err error) {
	err = s.ask(ctx, "list imported assignments", func(l link) error {
		out = nil
		return l.each(`SELECT a.user_name, a.directory, d.name FROM assignment a JOIN desktop d ON d.id = a.desktop_id
			WHERE a.source = 'import' AND d.deleted_at IS NULL ORDER BY d.name COLLATE "C"`, func(r pgx.Row) error {
			var a broker.Assignment
			err := r.Scan(&a.User, &a.Directory, &a.Desktop)
			out = append(out, a)
			return err
		})
	})
	return out, err
}
