package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"switchpoint/broker"
)

// Operate implements broker.OperatorStore.
func (s *Store) Operate(ctx context.Context, o broker.Operation, log broker.LogRow) error {
	return s.write(ctx, "operate", func(t txn) error {
		if o.Do == broker.OperateRelease {
			state, err := desktopState(t, o.Desktop)
			if err == nil {
				err = o.Releasable(state)
			}
			if err != nil {
				return err
			}
		}
		if err := operate(t, o, t.now); err != nil {
			return err
		}
		return appendLog(t, log)
	})
}

// mergeOperator does what an operator has said to a broker without its database, unless that was merged
// before: its log row says so.
func mergeOperator(t txn, a *broker.Act, at int64) error {
	if a.Operation == nil {
		return errors.New("it has no operation")
	}
	if fresh, err := writeLog(t, a.Log, at); err != nil || a.Log != nil && !fresh {
		return err
	}
	return operate(t, *a.Operation, at)
}

// operate does what was said at that moment.
func operate(t txn, o broker.Operation, at int64) error {
	switch o.Do {
	case broker.OperateBlock:
		return beginBlocks(t, o.Blocks, at)
	case broker.OperateLift:
		return endBlocks(t, o.Keys, at)
	case broker.OperateMaintenance, broker.OperateRelease:
		return maintain(t, o)
	case broker.OperateAssign:
		return assign(t, o)
	}
	return fmt.Errorf("there is no operation %q", o.Do)
}

// beginBlocks makes blocks with the ends that they had then.
func beginBlocks(t txn, blocks []broker.LimitBlock, at int64) error {
	q := broker.LimitExchange{Blocks: append([]broker.LimitBlock(nil), blocks...)}
	since := time.Duration(t.now-at) * time.Millisecond
	for i := range q.Blocks {
		q.Blocks[i].Age += since
		q.Blocks[i].Left -= since
	}
	return writeLimits(t, q)
}

// endBlocks ends those that were there then. The rows stay, so that all brokers read that they ended.
func endBlocks(t txn, keys []broker.LimitKey, at int64) error {
	for _, k := range keys {
		if _, err := t.exec(`UPDATE limit_block SET level = 0, since = ?1, until = ?1, changed_at = ?2 WHERE kind = ?3 AND user = ?4 AND source = ?5 AND until > ?1 AND since <= ?1`,
			at, t.now, string(k.Kind), k.User, k.Source); err != nil {
			return err
		}
	}
	return nil
}

func desktopState(t txn, name string) (state string, err error) {
	err = t.row(`SELECT state FROM desktop WHERE name = ? AND deleted_at IS NULL`, name).Scan(&state)
	if err = classify(err); errors.Is(err, broker.ErrNotFound) {
		err = fmt.Errorf("%w: there is no desktop %q", broker.ErrNotFound, name)
	}
	return state, err
}

// maintain leaves a desktop alone that is as it shall be.
func maintain(t txn, o broker.Operation) error {
	state, err := desktopState(t, o.Desktop)
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
	_, err = t.exec(`UPDATE desktop SET `+change+`, state_why = ? WHERE name = ? AND deleted_at IS NULL`, o.Why, o.Desktop)
	return err
}

// assign gives a desktop to a user.
func assign(t txn, o broker.Operation) error {
	f, id, err := assignmentFacts(t, o.Desktop)
	if err != nil {
		return err
	}
	give, err := o.Assignable(f)
	if err != nil || !give {
		return err
	}
	var lacked bool
	if err := t.row(`SELECT EXISTS (SELECT 1 FROM quarantine WHERE what = 'assignment' AND key = ?)`, id).Scan(&lacked); err != nil {
		return err
	}
	if lacked {
		return fmt.Errorf("%w: desktop %q is somebody's, and this host cache could not take the record of whose", broker.ErrConflict, o.Desktop)
	}
	_, err = writeAssignment(t, id, broker.Assignment{User: o.To.User, Directory: o.To.Directory, Desktop: o.Desktop}, broker.AssignAdd)
	return err
}
