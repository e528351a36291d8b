package outage

import (
	"context"

	"switchpoint/broker"
)

// replay does in a file that is to serve what operators have said in this outage and the database does not
// have yet. A file that was made anew lacks all of it, an older one and one that met a power failure some;
// what is there changes nothing. A second call goes on behind the first.
func (s *Store) replay(ctx context.Context, l *local) error {
	for {
		list, err := s.node.operations(ctx, l.said, mergeMost)
		if err != nil || len(list) == 0 {
			return err
		}
		var acts []broker.Act
		for _, e := range list {
			if e.err == nil { // else it is set aside when it is to be merged
				acts = append(acts, e.act)
			}
		}
		if err := s.replayActs(ctx, l, acts); err != nil {
			return err
		}
		l.said = list[len(list)-1].seq
	}
}

// replayActs does some of it. What one file has taken another may refuse: then it counts no longer until it is
// merged, and the others do.
func (s *Store) replayActs(ctx context.Context, l *local, acts []broker.Act) error {
	if len(acts) == 0 {
		return nil
	}
	return inHalves(acts, func(few []broker.Act) error { return l.hear(ctx, few...) }, func([]broker.Act) error { return nil },
		func(a broker.Act, why error) error {
			s.log.Warn("outage: the files do not take what an operator has said before", "act", a.At, "error", why)
			return nil
		})
}

// hear does in the file what operators have said.
func (l *local) hear(ctx context.Context, acts ...broker.Act) error {
	var desktops []string
	for _, a := range acts {
		if a.Operation != nil {
			desktops = append(desktops, a.Operation.Desktop)
		}
	}
	if err := l.leases.bringDesktops(ctx, desktops...); err != nil {
		return err
	}
	return l.cache.MergeActs(ctx, acts)
}
