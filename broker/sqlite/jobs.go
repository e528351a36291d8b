package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"switchpoint/broker"
)

// AddJobs implements broker.Store.
func (s *Store) AddJobs(ctx context.Context, jobs []broker.NewJob) ([]broker.AddedJob, error) {
	added := make([]broker.AddedJob, len(jobs))
	err := s.write(ctx, "add jobs", func(t txn) error {
		for i, j := range jobs {
			var err error
			if added[i], err = addJob(t, j); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return added, nil
}

// addJob inserts a job, or brings the one up to date that stands for it.
func addJob(t txn, j broker.NewJob) (broker.AddedJob, error) {
	due := t.now + j.After.Milliseconds()
	one := j.Unique || j.Every > 0
	if one {
		var id string
		err := t.row(`UPDATE job SET payload = ?, every_ms = ?, run_at = CASE state WHEN 'pending' THEN min(run_at, ?) ELSE run_at END
			WHERE kind = ? AND target = ? AND only_one = 1 AND state IN ('pending', 'running') RETURNING id`,
			j.Payload, j.Every.Milliseconds(), due, j.Kind, j.Target).Scan(&id)
		if !errors.Is(err, sql.ErrNoRows) {
			return broker.AddedJob{ID: id}, err
		}
	}
	_, err := t.exec(`INSERT INTO job (id, kind, target, payload, every_ms, for_site, only_one, state, run_at) VALUES (?, ?, ?, ?, ?, ?, ?, 'pending', ?)`,
		j.ID, j.Kind, j.Target, j.Payload, j.Every.Milliseconds(), j.For, one, due)
	return broker.AddedJob{ID: j.ID, Fresh: true}, err
}

// ClaimJobs implements broker.Store. Most questions find nothing: they do not take the lock that
// the logins of all brokers need.
func (s *Store) ClaimJobs(ctx context.Context, q broker.JobClaim) (broker.ClaimedJobs, error) {
	var out broker.ClaimedJobs
	var found bool
	err := s.read(ctx, "look for jobs", func(t txn) error {
		kinds, err := standing(t, q, &out)
		if err != nil {
			return err
		}
		const due = `EXISTS (SELECT 1 FROM job WHERE state = 'pending' AND for_site = ? AND run_at <= ? AND kind IN (SELECT value FROM json_each(?)))`
		names := asJSON(kinds)
		return t.row(`SELECT EXISTS (SELECT 1 FROM job WHERE `+lost+`) OR `+due+` OR `+due, t.now, 0, t.now, names, q.Member.SiteID, t.now, names).Scan(&found)
	})
	if err != nil || !found {
		return out, err
	}
	err = s.write(ctx, "claim jobs", func(t txn) error {
		out = broker.ClaimedJobs{}
		kinds, err := standing(t, q, &out)
		if err != nil {
			return err
		}
		if out.TakenBack, err = takeBack(t); err != nil || len(kinds) == 0 {
			return err
		}
		out.Jobs, err = claimDue(t, q, kinds)
		return err
	})
	if err != nil {
		return broker.ClaimedJobs{}, err
	}
	return out, nil
}

// standing says in out what the broker's status is, and which kinds it may be given.
func standing(t txn, q broker.JobClaim, out *broker.ClaimedJobs) ([]string, error) {
	if err := newest(t, q.Member); err != nil {
		return nil, err
	}
	beat, err := schedule(t, q.Member.SiteID)
	out.Status, _, _ = beat.Judge(moment(t.now))
	return q.KindsFor(out.Status), err
}

// claimDue makes the longest due jobs the caller's: its own and those of nobody in particular,
// each by its own end of the index, so that what waits for another broker costs nothing.
func claimDue(t txn, q broker.JobClaim, kinds []string) ([]broker.Job, error) {
	const due = `SELECT * FROM (SELECT id, run_at FROM job WHERE state = 'pending' AND for_site = ? AND run_at <= ?
		AND kind IN (SELECT value FROM json_each(?)) ORDER BY run_at LIMIT ?)`
	names := asJSON(kinds)
	var out []broker.Job
	err := each(t, `UPDATE job SET state = 'running', run = run + 1, run_by = ?, started_at = ?, lease_until = ?, attempts = attempts + 1
		WHERE id IN (SELECT id FROM (`+due+` UNION ALL `+due+`) ORDER BY run_at LIMIT ?) RETURNING `+jobColumns, func(r *sql.Rows) error {
		j, err := scanJob(r)
		out = append(out, j)
		return err
	}, q.Member.SiteID, t.now, t.now+q.Lease.Milliseconds(), 0, t.now, names, q.Max, q.Member.SiteID, t.now, names, q.Max, q.Max)
	slices.SortStableFunc(out, func(a, b broker.Job) int { return a.RunAt.Compare(b.RunAt) })
	return out, err
}

// lost are the runs that their brokers did not renew in time.
const lost = `state = 'running' AND lease_until <= ?`

// nextTurn is the next time on a recurring job's schedule, which later runs do not shift.
const nextTurn = `run_at + every_ms * (max(? - run_at, 0) / every_ms + 1)`

// takeBack ends the runs of all brokers whose lease has run out.
func takeBack(t txn) (int, error) {
	var found bool
	if err := t.row(`SELECT EXISTS (SELECT 1 FROM job WHERE `+lost+`)`, t.now).Scan(&found); err != nil || !found {
		return 0, err
	}
	const why = `'its broker was lost: the lease was not renewed'`
	if err := keepRun(t, why, `job j WHERE (every_ms > 0 OR attempts < ?) AND cancelling = 0 AND `+lost, broker.MaxAttempts, t.now); err != nil {
		return 0, err
	}
	return t.exec(`UPDATE job SET lease_until = NULL, cancelling = 0, ended_at = ?,
		error = CASE cancelling WHEN 1 THEN error ELSE `+why+` END,
		run_at = CASE WHEN cancelling = 0 AND every_ms > 0 AND attempts >= ? THEN `+nextTurn+` ELSE run_at END,
		attempts = CASE WHEN cancelling = 0 AND every_ms > 0 AND attempts >= ? THEN 0 ELSE attempts END,
		state = CASE WHEN cancelling = 1 THEN 'cancelled' WHEN every_ms = 0 AND attempts >= ? THEN 'aborted' ELSE 'pending' END
		WHERE `+lost, t.now, broker.MaxAttempts, t.now, broker.MaxAttempts, broker.MaxAttempts, t.now)
}

// keepRun copies running rows into aborted ones of their own; from names the job table j.
func keepRun(t txn, why, from string, args ...any) error {
	_, err := t.exec(`INSERT INTO job (id, kind, target, payload, every_ms, for_site, only_one, state, run_at, run, run_by, attempts, started_at, ended_at, error)
		SELECT j.id || '/' || j.run, j.kind, j.target, j.payload, j.every_ms, j.for_site, 0, 'aborted', j.run_at, j.run, j.run_by, j.attempts, j.started_at, ?, `+why+`
		FROM `+from, append([]any{t.now}, args...)...)
	return err
}

// RenewJobs implements broker.Store.
func (s *Store) RenewJobs(ctx context.Context, m broker.Membership, runs []broker.JobRun, lease time.Duration) (broker.JobRenewal, error) {
	var out broker.JobRenewal
	err := s.write(ctx, "renew jobs", func(t txn) error {
		out = broker.JobRenewal{}
		if err := newest(t, m); err != nil {
			return err
		}
		var kept []broker.JobRun
		err := each(t, `UPDATE job SET lease_until = ? FROM (SELECT value->>'ID' AS id, value->>'Run' AS run FROM json_each(?)) r
			WHERE job.id = r.id AND job.run = r.run AND job.state = 'running' AND job.run_by = ? RETURNING job.id, job.run, job.cancelling`, func(rows *sql.Rows) error {
			var r broker.JobRun
			var cancel bool
			err := rows.Scan(&r.ID, &r.Run, &cancel)
			kept = append(kept, r)
			if cancel {
				out.Cancel = append(out.Cancel, r)
			}
			return err
		}, t.now+lease.Milliseconds(), asJSON(runs), m.SiteID)
		out.Lost = broker.LostRuns(runs, kept)
		return err
	})
	if err != nil {
		return broker.JobRenewal{}, err
	}
	return out, nil
}

// ends are the caller's running jobs with how they end and what they become.
const ends = `SELECT j.id, e.how, e.after_ms, e.result, e.error, CASE
		WHEN e.how = 'cancelled' OR j.cancelling = 1 AND (e.how = 'pending' OR j.every_ms > 0) THEN 'cancelled'
		WHEN e.how = 'pending' OR j.every_ms > 0 THEN 'pending'
		ELSE e.how END AS becomes
	FROM (SELECT value->>'ID' AS id, value->>'Run' AS run, value->>'How' AS how, value->>'After' / 1000000 AS after_ms,
		value->>'Result' AS result, value->>'Error' AS error FROM json_each(?)) e
	JOIN job j ON j.id = e.id AND j.run = e.run AND j.state = 'running' AND j.run_by = ?`

// EndJobs implements broker.Store.
func (s *Store) EndJobs(ctx context.Context, m broker.Membership, list []broker.JobEnd) ([]broker.JobRun, error) {
	runs := make([]broker.JobRun, len(list))
	failed := false
	for i, e := range list {
		runs[i] = e.JobRun
		failed = failed || e.How == broker.JobAborted
		if err := e.Check(); err != nil {
			return nil, fmt.Errorf("end jobs: %w", err)
		}
	}
	var lost []broker.JobRun
	err := s.write(ctx, "end jobs", func(t txn) error {
		if err := newest(t, m); err != nil {
			return err
		}
		document := asJSON(list)
		if failed { // what fails and goes on leaves a trace
			if err := keepRun(t, `e.error`, `job j JOIN (`+ends+`) e ON e.id = j.id WHERE e.how = 'aborted' AND e.becomes <> 'aborted'`, document, m.SiteID); err != nil {
				return err
			}
		}
		var kept []broker.JobRun
		err := each(t, `UPDATE job SET state = e.becomes, lease_until = NULL, cancelling = 0, ended_at = ?,
				succeeded_at = CASE e.how WHEN 'finished' THEN ? ELSE job.succeeded_at END,
				attempts = 0, result = e.result,
				error = CASE WHEN e.becomes = 'cancelled' AND job.cancelling = 1 THEN job.error ELSE e.error END,
				run_at = CASE WHEN e.becomes <> 'pending' THEN job.run_at WHEN e.how = 'pending' THEN ? + e.after_ms ELSE `+nextTurn+` END
			FROM (`+ends+`) e WHERE job.id = e.id RETURNING job.id, job.run`, func(rows *sql.Rows) error {
			var r broker.JobRun
			err := rows.Scan(&r.ID, &r.Run)
			kept = append(kept, r)
			return err
		}, t.now, t.now, t.now, t.now, document, m.SiteID)
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
