package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"switchpoint/broker"
)

// jobColumns are what scanJob reads.
const jobColumns = `id, kind, target, payload, every_ms, for_site, only_one, state, run_at, run, run_by, attempts,
	started_at, ended_at, succeeded_at, lease_until, cancelling, result, error`

func scanJob(r scanner) (broker.Job, error) {
	var j broker.Job
	var every, runAt int64
	var started, ended, succeeded, lease sql.NullInt64
	err := r.Scan(&j.ID, &j.Kind, &j.Target, &j.Payload, &every, &j.For, &j.Unique, &j.State, &runAt, &j.Run, &j.RunBy, &j.Attempts,
		&started, &ended, &succeeded, &lease, &j.Cancelling, &j.Result, &j.Error)
	j.Every, j.RunAt = time.Duration(every)*time.Millisecond, moment(runAt)
	j.Started, j.Ended, j.Succeeded, j.LeaseUntil = maybe(started), maybe(ended), maybe(succeeded), maybe(lease)
	return j, err
}

func maybe(ms sql.NullInt64) time.Time {
	if !ms.Valid {
		return time.Time{}
	}
	return moment(ms.Int64)
}

// jobOrders are the columns of each order.
var jobOrders = map[broker.JobOrder]string{
	broker.JobsByScheduled: "run_at", broker.JobsByKind: "kind", broker.JobsByTarget: "target",
	broker.JobsByState: "state", broker.JobsBySite: "run_by", broker.JobsByStarted: "COALESCE(started_at, 0)",
}

// Jobs implements broker.Store.
func (s *Store) Jobs(ctx context.Context, f broker.JobFilter) ([]broker.Job, error) {
	f, err := f.Check()
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	query, args := `SELECT `+jobColumns+` FROM job WHERE 1`, []any(nil)
	where := func(yes bool, condition string, values ...any) {
		if yes {
			query += ` AND ` + condition
			args = append(args, values...)
		}
	}
	where(f.ID != "", `id = ?`, f.ID)
	where(len(f.States) > 0, `state IN (SELECT value FROM json_each(?))`, asJSON(f.States))
	where(len(f.Kinds) > 0, `kind IN (SELECT value FROM json_each(?))`, asJSON(f.Kinds))
	where(f.Target != "", `target = ?`, f.Target)
	where(f.Site != 0, `(for_site = ? OR run_by = ?)`, f.Site, f.Site)
	direction, behind := ``, `>`
	if f.Descending {
		direction, behind = ` DESC`, `<`
	}
	by := jobOrders[f.Order]
	where(f.After != "", `(`+by+`, id) `+behind+` (SELECT `+by+`, id FROM job WHERE id = ?)`, f.After)
	query += ` ORDER BY ` + by + direction + `, id` + direction + ` LIMIT ?`
	var out []broker.Job
	err = s.read(ctx, "list jobs", func(t txn) error {
		if f.After != "" {
			if err := t.row(`SELECT id FROM job WHERE id = ?`, f.After).Scan(new(string)); err != nil {
				return err // no row: broker.ErrNotFound
			}
		}
		return each(t, query, func(r *sql.Rows) error {
			j, err := scanJob(r)
			out = append(out, j)
			return err
		}, append(args, f.Limit)...)
	})
	return out, err
}

// JobCounts implements broker.Store.
func (s *Store) JobCounts(ctx context.Context) ([]broker.JobCount, error) {
	var out []broker.JobCount
	err := s.read(ctx, "count jobs", func(t txn) error {
		return each(t, `SELECT kind, state, COUNT(*), ? - MIN(run_at) FROM job GROUP BY kind, state ORDER BY kind, state`, func(r *sql.Rows) error {
			var c broker.JobCount
			var due int64
			err := r.Scan(&c.Kind, &c.State, &c.Count, &due)
			c.Due = time.Duration(due) * time.Millisecond
			out = append(out, c)
			return err
		}, t.now)
	})
	return out, err
}

// CancelJob implements broker.Store.
func (s *Store) CancelJob(ctx context.Context, id, by string) (broker.JobState, error) {
	var state broker.JobState
	err := s.write(ctx, "cancel job", func(t txn) error {
		if err := t.row(`SELECT state FROM job WHERE id = ?`, id).Scan(&state); err != nil {
			return err // no row: broker.ErrNotFound
		}
		why := "cancelled by " + by
		switch state {
		case broker.JobPending:
			state = broker.JobCancelled
			_, err := t.exec(`UPDATE job SET state = 'cancelled', ended_at = ?, error = ? WHERE id = ?`, t.now, why, id)
			return err
		case broker.JobRunning:
			_, err := t.exec(`UPDATE job SET cancelling = 1, error = ? WHERE id = ? AND cancelling = 0`, why, id)
			return err
		case broker.JobCancelled:
			return nil
		}
		return fmt.Errorf("%w: the job is %s already", broker.ErrConflict, state)
	})
	if err != nil {
		return "", err
	}
	return state, nil
}

// ReassignJobs implements broker.Store.
func (s *Store) ReassignJobs(ctx context.Context, from, to int) (int, error) {
	n := 0
	err := s.write(ctx, "reassign jobs", func(t txn) error {
		if to != 0 {
			if err := t.row(`SELECT site_id FROM broker WHERE site_id = ? AND removed_at IS NULL`, to).Scan(&to); err != nil {
				return err // no row: broker.ErrNotFound
			}
		}
		var err error
		n, err = reassign(t, from, to, `state = 'pending'`)
		return err
	})
	return n, err
}

// reassign moves the jobs that match, but no heartbeat: that is about its broker.
func reassign(t txn, from, to int, which string) (int, error) {
	if from == 0 {
		return 0, nil
	}
	return t.exec(`UPDATE job SET for_site = ? WHERE for_site = ? AND kind <> ? AND `+which, to, from, broker.KindHeartbeat)
}
