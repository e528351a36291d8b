package sqlite

import (
	"context"
	"database/sql"

	"switchpoint/broker"
)

// adoptedFrom stands where other desktops have their center: they are not of the setup.
const adoptedFrom = "leases"

// AdoptDesktops makes desktops the user's own in a file that a broker serves from without its database: those
// of his leases that the file lacks. A desktop that is there stays as it is, but if it is another user's it
// becomes his. Where there is nothing to do it does not write.
func (s *Store) AdoptDesktops(ctx context.Context, who broker.Who, list []broker.LeaseDesktop) error {
	missing := list
	err := s.read(ctx, "look for leased desktops", func(t txn) error {
		missing = nil
		for _, d := range list {
			var own bool
			if err := t.row(`SELECT EXISTS (SELECT 1 FROM assignment WHERE desktop_id = ? AND directory = ? AND user = ?)`, d.ID, who.Directory, who.User).Scan(&own); err != nil {
				return err
			}
			if !own {
				missing = append(missing, d)
			}
		}
		return nil
	})
	if err != nil || len(missing) == 0 {
		return err
	}
	return s.write(ctx, "adopt leased desktops", func(t txn) error {
		for i, d := range missing {
			if err := adoptDesktop(t, who, d, i); err != nil {
				return err
			}
		}
		return nil
	})
}

// LackedDesktops lists the ids of desktops that are nobody's in this host cache because it could not take a
// record of them, and of those that were adopted since.
func (s *Store) LackedDesktops(ctx context.Context) (ids []string, err error) {
	err = s.read(ctx, "list what the host cache lacks", func(t txn) error {
		return each(t, `SELECT DISTINCT q.key FROM quarantine q WHERE q.what IN ('desktop', 'assignment') -- both are told apart by the desktop's id
			AND (NOT EXISTS (SELECT 1 FROM assignment a WHERE a.desktop_id = q.key) OR EXISTS (SELECT 1 FROM desktop d WHERE d.id = q.key AND d.center = ?))`,
			func(r *sql.Rows) error {
				var id string
				err := r.Scan(&id)
				ids = append(ids, id)
				return err
			}, adoptedFrom)
	})
	return ids, err
}

// adoptDesktop leaves out a desktop whose name another one has. One of a pooled pool stands in no pool here,
// so that nobody takes it for a free one.
func adoptDesktop(t txn, who broker.Who, d broker.LeaseDesktop, position int) error {
	if _, err := t.exec(`INSERT OR IGNORE INTO desktop (id, name, center, external_id, pool_id, host, port, protocol, state)
		VALUES (?1, ?2, '`+adoptedFrom+`', ?1, (SELECT id FROM desktop_pool WHERE name = ?3 AND kind = 'assigned' AND deleted_at IS NULL), ?4, ?5, ?6, ?7)`,
		d.ID, d.Name, d.Pool, d.Host, d.Port, d.Protocol, d.State); err != nil {
		return err
	}
	_, err := t.exec(`INSERT INTO assignment (desktop_id, directory, user, position, source) SELECT id, ?, ?, ?, 'import' FROM desktop WHERE id = ? AND deleted_at IS NULL
		ON CONFLICT (desktop_id) DO UPDATE SET directory = excluded.directory, user = excluded.user, position = excluded.position`,
		who.Directory, who.User, position, d.ID)
	return err
}
