package outage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"switchpoint/broker"
)

// In an outage the other brokers of the cluster are told what an operator has said here, so that it counts at
// all that can be reached. Their journals have it, too, so that it goes on counting there over a restart; the
// database takes it from the first that brings it.

const (
	tellQueue  = 64 // operations on their way
	tellWithin = 3 * time.Second
)

// spread has the others told; the operator does not wait for them.
func (s *Store) spread(a broker.Act) {
	if s.o.Tell == nil {
		return
	}
	select {
	case s.said <- a:
	default:
		s.log.Warn("outage: other brokers are not told what an operator has said: too much of it is on its way", "operation", a.Operation.Do)
	}
}

// tellOthers does so until ctx ends.
func (s *Store) tellOthers(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-s.said:
			bounded, cancel := context.WithTimeout(ctx, tellWithin)
			for name, err := range s.o.Tell(bounded, a) {
				s.log.Warn("outage: another broker does not do what an operator has said here", "broker", name, "operation", a.Operation.Do, "error", err)
			}
			cancel()
		}
	}
}

var errNoOperation = errors.New("it is no operation with the row that names its operator")

// Hear takes what an operator has said at another broker of the cluster, if this one is in the outage, too.
// Else it hears of it from the database.
func (s *Store) Hear(ctx context.Context, a broker.Act) error {
	if a.Kind != broker.ActOperator || a.Operation == nil || a.Log == nil && a.Operation.Do != broker.OperateLift {
		return errNoOperation
	}
	if !s.State().Mode.Local() {
		return nil
	}
	_, done, err := serve(ctx, s, func(ctx context.Context, l *local) (none, error) {
		if err := l.hear(ctx, a); err != nil {
			return none{}, err
		}
		return none{}, l.node.journal(ctx, a)
	}, true)
	if !done && s.State().Mode.Local() {
		return fmt.Errorf("%w: its files cannot be opened", broker.ErrUnavailable)
	}
	return err
}
