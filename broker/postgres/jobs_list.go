package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"switchpoint/broker"
)

// jobColumns are what scanJob reads of the table j.
const jobColumns = `j.id, j.kind, j.target, j.payload, j.every_us, j.for_site, j.only_one, j.state, j.run_at, j.run, j.run_by, j.attempts,
	j.started_at, j.ended_at, j.succeeded_at, j.lease_until, j.cancelling, j.result, j.error`

func scanJob(r pgx.Row) (broker.Job, error) {
	var j broker.Job
	var every int64
	var started, ended, succeeded, lease *time.Time
	err := r.Scan(&j.ID, &j.Kind, &j.Target, &j.Payload, &every, &j.For, &j.Unique, &j.State, &j.RunAt, &j.Run, &j.RunBy, &j.Attempts,
		&started, &ended, &succeeded, &lease, &j.Cancelling, &j.Result, &j.Error)
	j.Every, j.RunAt = time.Duration(every)*time.Microsecond, j.RunAt.UTC()
	j.Started, j.Ended, j.Succeeded, j.LeaseUntil = maybe(started), maybe(ended), maybe(succeeded), maybe(lease)
	return j, err
}

func maybe(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// jobOrders are the columns of each order.
var jobOrders = map[broker.JobOrder]string{
	broker.JobsByScheduled: "j.run_at", broker.JobsByKind: "j.kind", broker.JobsByTarget: "j.target",
	broker.JobsByState: "j.state", broker.JobsBySite: "j.run_by", broker.JobsByStarted: "COALESCE(j.started_at, '-infinity')",
}

// Jobs implements broker.Store.
func (s *Store) Jobs(ctx context.Context, f broker.JobFilter) ([]broker.Job, error) {
	f, err := f.Check()
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	query, args := `SELECT `+jobColumns+` FROM job j WHERE true`, []any(nil)
	where := func(yes bool, condition string, value any) {
		if yes {
			args = append(args, value)
			query += fmt.Sprintf(` AND `+condition, len(args))
		}
	}
	where(f.ID != "", `j.id = $%d`, f.ID)
	where(len(f.States) > 0, `j.state = ANY($%d::text[])`, f.States)
	where(len(f.Kinds) > 0, `j.kind = ANY($%d::text[])`, f.Kinds)
	where(f.Target != "", `j.target = $%d`, f.Target)
	where(f.Site != 0, `$%d::integer IN (j.for_site, j.run_by)`, f.Site)
	direction, behind := ` ASC`, `>`
	if f.Descending {
		direction, behind = ` DESC`, `<`
	}
	by := jobOrders[f.Order]
	where(f.After != "", `(`+by+`, j.id) `+behind+` (SELECT `+by+`, j.id FROM job j WHERE j.id = $%d)`, f.After)
	query += fmt.Sprintf(` ORDER BY %s%s, j.id%s LIMIT %d`, by, direction, direction, f.Limit)
	var out []broker.Job
	err = s.ask(ctx, "list jobs", func(l link) error {
		out = nil
		if f.After != "" {
			if err := l.row(`SELECT id FROM job WHERE id = $1`, f.After).Scan(new(string)); err != nil {
				return err // no row: broker.ErrNotFound
			}
		}
		return l.each(query, func(r pgx.Row) error {
			j, err := scanJob(r)
			out = append(out, j)
			return err
		}, args...)
	})
	return out, err
}

// JobCounts implements broker.Store.
func (s *Store) JobCounts(ctx context.Context) ([]broker.JobCount, error) {
	var out []broker.JobCount
	err := s.ask(ctx, "count jobs", func(l link) error {
		out = nil
		return l.each(`SELECT kind, state, count(*), (extract(epoch FROM now() - min(run_at)) * 1000000)::bigint FROM job
			GROUP BY kind, state ORDER BY kind COLLATE "C", state COLLATE "C"`, func(r pgx.Row) error {
			var c broker.JobCount
			var us int64
			err := r.Scan(&c.Kind, &c.State, &c.Count, &us)
			c.Due = time.Duration(us) * time.Microsecond
			out = append(out, c)
			return err
		})
	})
	return out, err
}

// CancelJob implements broker.Store.
func (s *Store) CancelJob(ctx context.Context, id, by string) (broker.JobState, error) {
	var state broker.JobState
	var became bool
	err := s.write(ctx, "cancel job", func(l link) error {
		if err := l.row(`SELECT state, state IN ('pending', 'running') FROM job WHERE id = $1 FOR UPDATE`, id).Scan(&state, &became); err != nil {
			return err // no row: broker.ErrNotFound
		}
		switch {
		case became:
			return l.row(`UPDATE job SET state = CASE state WHEN 'pending' THEN 'cancelled' ELSE state END, cancelling = state = 'running',
				ended_at = CASE state WHEN 'pending' THEN now() ELSE ended_at END, error = CASE WHEN cancelling THEN error ELSE $2 END
				WHERE id = $1 RETURNING state`, id, "cancelled by "+by).Scan(&state)
		case state == broker.JobCancelled:
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
	err := s.write(ctx, "reassign jobs", func(l link) error {
		if to != 0 {
			var found int
			if err := l.row(`SELECT site_id FROM broker WHERE site_id = $1 AND removed_at IS NULL`, to).Scan(&found); err != nil {
				return err // no row: broker.ErrNotFound
			}
		}
		var err error
		n, err = reassign(l, from, to, `state = 'pending'`)
		return err
	})
	return n, err
}

// reassign moves the jobs that match, but no heartbeat: that is about its broker.
func reassign(l link, from, to int, which string) (int, error) {
	if from == 0 {
		return 0, nil
	}
	return l.exec(`UPDATE job SET for_site = $1 WHERE for_site = $2 AND kind <> $3 AND `+which, to, from, broker.KindHeartbeat)
}
