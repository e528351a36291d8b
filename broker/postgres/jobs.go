package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"switchpoint/broker"
)

// AddJobs implements broker.Store.
func (s *Store) AddJobs(ctx context.Context, jobs []broker.NewJob) ([]broker.AddedJob, error) {
	added := make([]broker.AddedJob, len(jobs))
	var plain []broker.NewJob // what no other job can stand for goes in with one statement
	var only []int            // the others; brokers that add the same ones lock them in one order
	for i, j := range jobs {
		if !j.Unique && j.Every == 0 {
			plain, added[i] = append(plain, j), broker.AddedJob{ID: j.ID, Fresh: true}
		} else {
			only = append(only, i)
		}
	}
	slices.SortStableFunc(only, func(a, b int) int {
		return cmp.Or(cmp.Compare(jobs[a].Kind, jobs[b].Kind), cmp.Compare(jobs[a].Target, jobs[b].Target))
	})
	err := s.write(ctx, "add jobs", func(l link) error {
		if len(plain) > 0 {
			if _, err := l.exec(`INSERT INTO job (id, kind, target, payload, every_us, for_site, only_one, state, run_at)
				SELECT "ID", "Kind", "Target", "Payload", 0, "For", false, 'pending', now() + "After" / 1000`+microSQL+`
				FROM jsonb_to_recordset($1::text::jsonb) AS j("ID" text, "Kind" text, "Target" text, "Payload" text, "For" integer, "After" bigint)`,
				asJSON(plain)); err != nil {
				return err
			}
		}
		for _, i := range only {
			j := jobs[i]
			err := l.row(`INSERT INTO job AS j (id, kind, target, payload, every_us, for_site, only_one, state, run_at)
				VALUES ($1, $2, $3, $4, $5, $6, true, 'pending', now() + $7::bigint`+microSQL+`)
				ON CONFLICT (kind, target) WHERE only_one AND state IN ('pending', 'running') DO UPDATE SET payload = excluded.payload,
					every_us = excluded.every_us, run_at = CASE j.state WHEN 'pending' THEN least(j.run_at, excluded.run_at) ELSE j.run_at END
				RETURNING id`,
				j.ID, j.Kind, j.Target, j.Payload, j.Every.Microseconds(), j.For, j.After.Microseconds()).Scan(&added[i].ID)
			if err != nil {
				return err
			}
			added[i].Fresh = added[i].ID == j.ID
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return added, nil
}

// ClaimJobs implements broker.Store.
func (s *Store) ClaimJobs(ctx context.Context, q broker.JobClaim) (broker.ClaimedJobs, error) {
	var out broker.ClaimedJobs
	err := s.write(ctx, "claim jobs", func(l link) error {
		out = broker.ClaimedJobs{}
		var late bool
		var err error
		if out.Status, late, err = standing(l, q.Member); err != nil {
			return err
		}
		if late {
			if out.TakenBack, err = l.exec(takeBack, broker.MaxAttempts); err != nil {
				return err
			}
		}
		kinds := q.KindsFor(out.Status)
		if len(kinds) == 0 {
			return nil
		}
		err = l.each(claimDue, func(r pgx.Row) error {
			j, err := scanJob(r)
			out.Jobs = append(out.Jobs, j)
			return err
		}, q.Member.SiteID, kinds, q.Max, q.Lease.Microseconds())
		slices.SortStableFunc(out.Jobs, func(a, b broker.Job) int { return a.RunAt.Compare(b.RunAt) })
		return err
	})
	if err != nil {
		return broker.ClaimedJobs{}, err
	}
	return out, nil
}

// standing says what the broker of a membership may do, and whether anybody's lease has run out.
func standing(l link, m broker.Membership) (status broker.Status, late bool, err error) {
	var epoch int64
	var removed bool
	var now time.Time
	var every *int64
	var next *time.Time
	err = l.row(`SELECT b.epoch, b.removed_at IS NOT NULL, now(), j.every_us, j.run_at,
			EXISTS (SELECT FROM job WHERE state = 'running' AND lease_until <= now())
		FROM broker b LEFT JOIN job j ON j.kind = $2 AND j.target = $3 AND j.only_one AND j.state IN ('pending', 'running')
		WHERE b.site_id = $1`, m.SiteID, broker.KindHeartbeat, strconv.Itoa(m.SiteID)).Scan(&epoch, &removed, &now, &every, &next, &late)
	if err != nil {
		return "", false, err
	}
	status, _, _ = toSchedule(every, next).Judge(now)
	return status, late, place(m, epoch, removed)
}

// place fails unless the membership is the newest of its site id.
func place(m broker.Membership, epoch int64, removed bool) error {
	switch {
	case epoch == m.Epoch:
		return nil
	case removed:
		return broker.ErrRemoved
	}
	return broker.ErrFenced
}

// dueJobs are the longest due jobs of one end of the index; those that another broker is taking are
// left to it.
const dueJobs = `SELECT id, run_at FROM job WHERE state = 'pending' AND run_at <= now() AND kind = ANY($2::text[])`

// claimDue makes the longest due jobs the caller's: its own and those of nobody in particular, each
// by its own end of the index, so that what waits for another broker costs nothing.
const claimDue = `WITH own AS (` + dueJobs + ` AND for_site = $1 ORDER BY run_at LIMIT $3 FOR UPDATE SKIP LOCKED),
	anyones AS (` + dueJobs + ` AND for_site = 0 ORDER BY run_at LIMIT $3 FOR UPDATE SKIP LOCKED),
	chosen AS (SELECT id FROM (SELECT * FROM own UNION ALL SELECT * FROM anyones) d ORDER BY run_at LIMIT $3)
	UPDATE job j SET state = 'running', run = j.run + 1, run_by = $1, started_at = now(),
		lease_until = now() + $4::bigint` + microSQL + `, attempts = j.attempts + 1
	FROM chosen WHERE j.id = chosen.id RETURNING ` + jobColumns

// nextTurn is the next time on a recurring job's schedule, which later runs do not shift.
const nextTurn = `j.run_at + j.every_us * (div(greatest(extract(epoch FROM now() - j.run_at) * 1000000, 0), j.every_us)::bigint + 1)` + microSQL

// keptRun are the columns of an aborted row of its own for a run of j, without its error.
const (
	keptColumns = `id, kind, target, payload, every_us, for_site, only_one, state, run_at, run, run_by, attempts, started_at, ended_at, error`
	keptRun     = `j.id || '/' || j.run, j.kind, j.target, j.payload, j.every_us, j.for_site, false, 'aborted', j.run_at, j.run, j.run_by, j.attempts, j.started_at, now()`
	lostRun     = `'its broker was lost: the lease was not renewed'`
)

// takeBack ends the runs of all brokers whose lease has run out.
const takeBack = `WITH lost AS (SELECT id FROM job WHERE state = 'running' AND lease_until <= now() FOR UPDATE SKIP LOCKED),
	kept AS (INSERT INTO job (` + keptColumns + `) SELECT ` + keptRun + `, ` + lostRun + `
		FROM job j JOIN lost USING (id) WHERE (j.every_us > 0 OR j.attempts < $1) AND NOT j.cancelling)
	UPDATE job j SET lease_until = NULL, cancelling = false, ended_at = now(),
		error = CASE WHEN j.cancelling THEN j.error ELSE ` + lostRun + ` END,
		run_at = CASE WHEN NOT j.cancelling AND j.every_us > 0 AND j.attempts >= $1 THEN ` + nextTurn + ` ELSE j.run_at END,
		attempts = CASE WHEN NOT j.cancelling AND j.every_us > 0 AND j.attempts >= $1 THEN 0 ELSE j.attempts END,
		state = CASE WHEN j.cancelling THEN 'cancelled' WHEN j.every_us = 0 AND j.attempts >= $1 THEN 'aborted' ELSE 'pending' END
	FROM lost WHERE j.id = lost.id`

// RenewJobs implements broker.Store.
func (s *Store) RenewJobs(ctx context.Context, m broker.Membership, runs []broker.JobRun, lease time.Duration) (broker.JobRenewal, error) {
	var out broker.JobRenewal
	err := s.once(ctx, "renew jobs", func(l link) error {
		out = broker.JobRenewal{}
		var kept []broker.JobRun
		err := l.fenced(m, `WITH me AS (`+myPlace+`),
			mine AS (SELECT j.id FROM jsonb_to_recordset($3::text::jsonb) AS r("ID" text, "Run" bigint)
				JOIN job j ON j.id = r."ID" AND j.run = r."Run" WHERE j.state = 'running' AND j.run_by = $1
				AND (SELECT epoch FROM me) = $2 ORDER BY j.id FOR UPDATE OF j),
			done AS (UPDATE job j SET lease_until = now() + $4::bigint`+microSQL+` FROM mine WHERE j.id = mine.id RETURNING j.id, j.run, j.cancelling)
			SELECT me.epoch, me.removed, done.id, done.run, done.cancelling FROM me LEFT JOIN done ON true`, func(r broker.JobRun, cancel bool) {
			kept = append(kept, r)
			if cancel {
				out.Cancel = append(out.Cancel, r)
			}
		}, asJSON(runs), lease.Microseconds())
		out.Lost = broker.LostRuns(runs, kept)
		return err
	})
	if err != nil {
		return broker.JobRenewal{}, err
	}
	return out, nil
}

// myPlace reads whether the membership ($1 site id, $2 epoch) is the newest; it always has a row.
const myPlace = `SELECT b.epoch, b.removed_at IS NOT NULL AS removed FROM broker b WHERE b.site_id = $1`

// fenced runs a statement that changes jobs only for the newest membership, and calls fn for each.
func (l link) fenced(m broker.Membership, sql string, fn func(r broker.JobRun, cancel bool), args ...any) error {
	var epoch int64
	var removed bool
	err := l.each(sql, func(row pgx.Row) error {
		var id *string
		var run *int64
		var cancel *bool
		if err := row.Scan(&epoch, &removed, &id, &run, &cancel); err != nil || id == nil {
			return err
		}
		fn(broker.JobRun{ID: *id, Run: *run}, *cancel)
		return nil
	}, append([]any{m.SiteID, m.Epoch}, args...)...)
	if err != nil {
		return err
	}
	return place(m, epoch, removed)
}

// endJobs ends the caller's runs, in one statement: what each job becomes, the trace of those that
// failed and go on, and the change itself.
const endJobs = `WITH me AS (` + myPlace + `),
	ending AS (SELECT j.id, e."How" AS how, e."After" / 1000 AS after_us, e."Result" AS result, e."Error" AS error, CASE
			WHEN e."How" = 'cancelled' OR j.cancelling AND (e."How" = 'pending' OR j.every_us > 0) THEN 'cancelled'
			WHEN e."How" = 'pending' OR j.every_us > 0 THEN 'pending'
			ELSE e."How" END AS becomes
		FROM jsonb_to_recordset($3::text::jsonb) AS e("ID" text, "Run" bigint, "How" text, "After" bigint, "Result" text, "Error" text)
		JOIN job j ON j.id = e."ID" AND j.run = e."Run" WHERE j.state = 'running' AND j.run_by = $1
		AND (SELECT epoch FROM me) = $2 ORDER BY j.id FOR UPDATE OF j),
	kept AS (INSERT INTO job (` + keptColumns + `) SELECT ` + keptRun + `, e.error
		FROM job j JOIN ending e USING (id) WHERE e.how = 'aborted' AND e.becomes <> 'aborted'),
	done AS (UPDATE job j SET state = e.becomes, lease_until = NULL, cancelling = false, ended_at = now(),
			succeeded_at = CASE e.how WHEN 'finished' THEN now() ELSE j.succeeded_at END,
			attempts = 0, result = e.result,
			error = CASE WHEN e.becomes = 'cancelled' AND j.cancelling THEN j.error ELSE e.error END,
			run_at = CASE WHEN e.becomes <> 'pending' THEN j.run_at WHEN e.how = 'pending' THEN now() + e.after_us` + microSQL + ` ELSE ` + nextTurn + ` END
		FROM ending e WHERE j.id = e.id RETURNING j.id, j.run)
	SELECT me.epoch, me.removed, done.id, done.run, false FROM me LEFT JOIN done ON true`

// EndJobs implements broker.Store.
func (s *Store) EndJobs(ctx context.Context, m broker.Membership, list []broker.JobEnd) ([]broker.JobRun, error) {
	runs := make([]broker.JobRun, len(list))
	for i, e := range list {
		runs[i] = e.JobRun
		if err := e.Check(); err != nil {
			return nil, fmt.Errorf("end jobs: %w", err)
		}
	}
	var lost []broker.JobRun
	err := s.once(ctx, "end jobs", func(l link) error {
		var kept []broker.JobRun
		err := l.fenced(m, endJobs, func(r broker.JobRun, _ bool) { kept = append(kept, r) }, asJSON(list))
		lost = broker.LostRuns(runs, kept)
		return err
	})
	if err != nil {
		return nil, err
	}
	return lost, nil
}

// asJSON is a list as a parameter.
func asJSON[T any](list []T) string {
	if list == nil {
		list = []T{} // null is no list
	}
	text, err := json.Marshal(list)
	if err != nil {
		panic(err) // strings and numbers
	}
	return string(text)
}
