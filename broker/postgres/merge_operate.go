package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"switchpoint/broker"
)

// Operate implements broker.OperatorStore.
func (s *Store) Operate(ctx context.Context, o broker.Operation, log broker.LogRow) error {
	return s.write(ctx, "operate", func(l link) error {
		if o.Do == broker.OperateRelease {
			state, err := lockDesktop(l, o.Desktop)
			if err == nil {
				err = o.Releasable(state)
			}
			if err != nil {
				return err
			}
		}
		if err := operate(l, o, time.Time{}); err != nil {
			return err
		}
		return appendLog(l, log)
	})
}

// mergeOperator does what an operator has said to a broker without its database, unless that was merged
// before: its log row says so.
func mergeOperator(l link, a *broker.Act) error {
	if a.Operation == nil {
		return errors.New("it has no operation")
	}
	if a.Log != nil {
		text, err := mergeText([]mergedRow{logRow(a)})
		if err != nil {
			return err
		}
		if n, err := l.exec(mergeLogSQL, text); err != nil || n == 0 {
			return err
		}
	}
	return operate(l, *a.Operation, a.At)
}

// operate does what was said at that moment by the clock of the broker that heard it; zero: now.
func operate(l link, o broker.Operation, at time.Time) error {
	switch o.Do {
	case broker.OperateBlock:
		return beginBlocks(l, o.Blocks, at)
	case broker.OperateLift:
		return endBlocks(l, o.Keys, at)
	case broker.OperateMaintenance, broker.OperateRelease:
		return maintain(l, o)
	case broker.OperateAssign:
		return assign(l, o)
	}
	return fmt.Errorf("there is no operation %q", o.Do)
}

// saidAt is how long ago a moment was; one that is still to come, or none, was now.
func saidAt(l link, at time.Time) (ago time.Duration, err error) {
	if at.IsZero() {
		return 0, nil
	}
	var us int64
	err = l.row(`SELECT GREATEST(`+microsOf+`now() - $1::timestamptz`+inMicros+`, 0)`, at).Scan(&us)
	return micros(us), err
}

// beginBlocks makes blocks with the ends that they had then.
func beginBlocks(l link, blocks []broker.LimitBlock, at time.Time) error {
	ago, err := saidAt(l, at)
	if err != nil {
		return err
	}
	q := broker.LimitExchange{Blocks: append([]broker.LimitBlock(nil), blocks...)}
	for i := range q.Blocks {
		q.Blocks[i].Age += ago
		q.Blocks[i].Left -= ago
	}
	return writeLimits(l, q)
}

// endBlocks ends those that were there then. The rows stay, so that all brokers read that they ended.
func endBlocks(l link, keys []broker.LimitKey, at time.Time) error {
	ago, err := saidAt(l, at)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if _, err := l.exec(`UPDATE limit_block b SET level = 0, since = s.at, until = s.at, changed_at = now() FROM (SELECT now() - $4::bigint`+microSQL+` AS at) s
			WHERE b.kind = $1 AND b.user_name = $2 AND b.source = $3 AND b.until > s.at AND b.since <= s.at`, string(k.Kind), k.User, k.Source, ago.Microseconds()); err != nil {
			return err
		}
	}
	return nil
}

// lockDesktop keeps a desktop as it is until the end of the transaction.
func lockDesktop(l link, name string) (state string, err error) {
	err = l.row(`SELECT state FROM desktop WHERE name = $1 AND deleted_at IS NULL FOR NO KEY UPDATE`, name).Scan(&state)
	if errors.Is(classify(err), broker.ErrNotFound) {
		err = fmt.Errorf("%w: there is no desktop %q", broker.ErrNotFound, name)
	}
	return state, err
}

// maintain leaves a desktop alone that is as it shall be.
func maintain(l link, o broker.Operation) error {
	state, err := lockDesktop(l, o.Desktop)
	if err != nil {
		return err
	}
	change := `state = COALESCE(NULLIF(source_state, ''), 'enabled'), source_state = ''`
	switch {
	case o.Do == broker.OperateMaintenance:
		change = `source_state = CASE state WHEN 'maintenance' THEN source_state ELSE state END, state = 'maintenance'`
	case state != broker.DesktopMaintenance:
		return nil
	}
	_, err = l.exec(`UPDATE desktop SET `+change+`, state_why = $2 WHERE name = $1 AND deleted_at IS NULL`, o.Desktop, o.Why)
	return err
}

// assign gives a desktop to a user. It is locked before it is judged, so that nobody connects to it
// meanwhile.
func assign(l link, o broker.Operation) error {
	if err := alone(l); err != nil {
		return err
	}
	names := []string{o.Desktop}
	if _, err := l.exec(`SELECT FROM desktop WHERE deleted_at IS NULL AND name = $1 FOR NO KEY UPDATE`, o.Desktop); err != nil {
		return err
	}
	facts, err := assignmentFacts(l, names)
	if err != nil {
		return err
	}
	give, err := o.Assignable(facts[o.Desktop].AssignmentFacts)
	if err != nil || !give {
		return err
	}
	_, err = writeImport(l, []broker.Assignment{{User: o.To.User, Directory: o.To.Directory, Desktop: o.Desktop}}, []broker.AssignmentVerdict{{Verdict: broker.AssignAdd}}, facts)
	return err
}
