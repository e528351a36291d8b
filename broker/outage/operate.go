package outage

import (
	"context"
	"fmt"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/outage/mode"
)

// What an operator reads and does without the database (OP5). Reads come from the files; what he says about
// one user or one desktop counts here at once, stands in the journal before he has his answer, and is judged
// once more when it is merged. All else has to wait, and says so at once.

// Served says what the answers of this broker are taken from, or "": from the database.
func (s *Store) Served() string {
	state := s.State()
	if !state.Mode.Local() {
		return ""
	}
	of := s.cache.Status().Current
	if l := s.files.Load(); l != nil {
		of = l.copied
	}
	text := fmt.Sprintf("as of the host cache of %s UTC", of.UTC().Format("2006-01-02 15:04"))
	if state.Mode == mode.Leased {
		text = "as far as leases tell"
	}
	return text + ", with what was done here since (mode " + string(state.Mode) + ")"
}

// waits refuses what only the database can do, while calls are served from the files and it does not
// answer. In a drill it does, and is asked.
func (s *Store) waits(what string) error {
	if !s.State().Mode.Local() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.facts.good.IsZero() {
		return nil
	}
	return fmt.Errorf("%w: %s, and it has not answered since %s UTC. What works without it: all lists but those of jobs and leases, outage force, drain, "+
		"limits block and lift, desktops maintenance and release, assignments add", broker.ErrUnavailable, what, s.facts.answered.UTC().Format(time.TimeOnly))
}

const (
	inQueue    = "the job queue is in the database"
	inDatabase = "this is done in the database"
	inLeases   = "the leases of the cluster are in the database"
)

// Leases implements broker.Store.
func (s *Store) Leases(ctx context.Context, f broker.LeaseFilter) ([]broker.Lease, error) {
	if err := s.waits(inLeases); err != nil {
		return nil, err
	}
	return s.Primary.Leases(ctx, f)
}

// RemoveLeases implements broker.Store.
func (s *Store) RemoveLeases(ctx context.Context, f broker.LeaseFilter, log broker.LogRow) (int, error) {
	if err := s.waits(inDatabase); err != nil {
		return 0, err
	}
	return s.Primary.RemoveLeases(ctx, f, log)
}

// Jobs implements broker.Store.
func (s *Store) Jobs(ctx context.Context, f broker.JobFilter) ([]broker.Job, error) {
	if err := s.waits(inQueue); err != nil {
		return nil, err
	}
	return s.Primary.Jobs(ctx, f)
}

// JobCounts implements broker.Store.
func (s *Store) JobCounts(ctx context.Context) ([]broker.JobCount, error) {
	if err := s.waits(inQueue); err != nil {
		return nil, err
	}
	return s.Primary.JobCounts(ctx)
}

// AddJobs implements broker.Store.
func (s *Store) AddJobs(ctx context.Context, jobs []broker.NewJob) ([]broker.AddedJob, error) {
	if err := s.waits(inQueue); err != nil {
		return nil, err
	}
	return s.Primary.AddJobs(ctx, jobs)
}

// CancelJob implements broker.Store.
func (s *Store) CancelJob(ctx context.Context, id, by string) (broker.JobState, error) {
	if err := s.waits(inQueue); err != nil {
		return "", err
	}
	return s.Primary.CancelJob(ctx, id, by)
}

// ReplaceSetup implements broker.Store.
func (s *Store) ReplaceSetup(ctx context.Context, in broker.Setup, expect int64, log broker.LogRow) (int64, error) {
	if err := s.waits(inDatabase); err != nil {
		return 0, err
	}
	return s.Primary.ReplaceSetup(ctx, in, expect, log)
}

// RemoveBroker implements broker.Store.
func (s *Store) RemoveBroker(ctx context.Context, siteID int, log broker.LogRow) (int, error) {
	if err := s.waits(inDatabase); err != nil {
		return 0, err
	}
	return s.Primary.RemoveBroker(ctx, siteID, log)
}

// Detach implements broker.Store.
func (s *Store) Detach(ctx context.Context, m broker.Membership) error {
	if err := s.waits(inDatabase); err != nil {
		return err
	}
	return s.Primary.Detach(ctx, m)
}

// ConfirmVanish implements broker.Store.
func (s *Store) ConfirmVanish(ctx context.Context, center string, log broker.LogRow) (int, error) {
	if err := s.waits(inDatabase); err != nil {
		return 0, err
	}
	return s.Primary.ConfirmVanish(ctx, center, log)
}

// AddEnrolToken implements broker.Store.
func (s *Store) AddEnrolToken(ctx context.Context, t broker.EnrolToken, log broker.LogRow) error {
	if err := s.waits(inDatabase); err != nil {
		return err
	}
	return s.Primary.AddEnrolToken(ctx, t, log)
}

// ClearDesktop implements broker.Store.
func (s *Store) ClearDesktop(ctx context.Context, name string, log broker.LogRow) error {
	if err := s.waits(inDatabase); err != nil {
		return err
	}
	return s.Primary.ClearDesktop(ctx, name, log)
}

// ImportAssignments implements broker.Store. What a file would do can be asked in an outage; it is not done.
func (s *Store) ImportAssignments(ctx context.Context, list []broker.Assignment, dryRun bool, log broker.LogRow) ([]broker.AssignmentVerdict, error) {
	if dryRun {
		return look(ctx, s, func(ctx context.Context) ([]broker.AssignmentVerdict, error) {
			return s.Primary.ImportAssignments(ctx, list, true, log)
		}, func(ctx context.Context, l *local) ([]broker.AssignmentVerdict, error) {
			return l.cache.ImportAssignments(ctx, list, true, log)
		})
	}
	if err := s.waits("a file of assignments is imported into the database"); err != nil {
		return nil, err
	}
	return s.Primary.ImportAssignments(ctx, list, false, log)
}

// Operate implements broker.Store.
func (s *Store) Operate(ctx context.Context, o broker.Operation, log broker.LogRow) error {
	return s.operate(ctx, o, log, func(ctx context.Context) error { return s.Primary.Operate(ctx, o, log) })
}

// SetMaintenance implements broker.Store. In an outage it takes desktops of the setup, too: nobody can
// apply another one.
func (s *Store) SetMaintenance(ctx context.Context, desktop string, on bool, why string, log broker.LogRow) error {
	o := broker.Operation{Do: broker.OperateRelease, Desktop: desktop}
	if on {
		o.Do, o.Why = broker.OperateMaintenance, why
	}
	return s.operate(ctx, o, log, func(ctx context.Context) error { return s.Primary.SetMaintenance(ctx, desktop, on, why, log) })
}

func (s *Store) operate(ctx context.Context, o broker.Operation, log broker.LogRow, there func(context.Context) error) error {
	_, err := call(ctx, s, writing, func(ctx context.Context) (none, error) { return none{}, there(ctx) },
		func(ctx context.Context, l *local) (none, error) {
			if err := l.leases.bringDesktops(ctx, o.Desktop); err != nil {
				return none{}, err
			}
			if err := l.cache.Operate(ctx, o, log); err != nil {
				return none{}, err
			}
			return none{}, s.saidHere(ctx, l, o, &log)
		})
	return err
}

// saidHere writes down what was done in the files, and has the other brokers told.
func (s *Store) saidHere(ctx context.Context, l *local, o broker.Operation, log *broker.LogRow) error {
	a := broker.Act{Kind: broker.ActOperator, At: time.Now().UTC(), Operation: &o, Log: log}
	if err := l.node.journal(ctx, a); err != nil {
		return err
	}
	s.spread(a)
	return nil
}

// refusedOperation is the row of an operation that the database refuses, in place of the one that says it
// was done: the operator is named, and what became of it. Nil: it is none.
func refusedOperation(a *broker.Act, why error) *broker.Act {
	if a.Kind != broker.ActOperator || a.Log == nil {
		return nil
	}
	row := *a.Log
	row.Code = broker.NotMerged
	row.Reason = append(append([]string{}, row.Reason...), "not done, though it counted at broker site id "+fmt.Sprint(row.SiteID)+" in the outage: "+why.Error())
	return &broker.Act{Kind: broker.ActLog, At: a.At, Log: &row}
}

// noteRefused writes the row of an operation that was set aside.
func (s *Store) noteRefused(ctx context.Context, a *broker.Act, why error) error {
	if act := refusedOperation(a, why); act != nil {
		return s.node.journal(ctx, *act)
	}
	return nil
}
