package broker

import (
	"context"
	"fmt"
	"slices"

	"switchpoint/healthcheck"
	"switchpoint/healthcheck/isalive"
	"switchpoint/redirect"
)

// decideHome asks the redirect rules of the user's directory where he belongs. Local users, and
// users of a directory without rules, log in here (RD9).
func (b *Broker) decideHome(ctx context.Context, t *table, who identity) redirect.Decision {
	if who.from == nil || who.from.redirect == nil {
		return redirect.Decision{Action: redirect.LogInHere, Reason: []string{"no redirect rules for this directory: log in here"}}
	}
	return redirect.Decide(who.from.redirect, b.homeQuestion(ctx, t, who, nil))
}

// homeQuestion collects what the rules ask about a user whose directory has some: which destinations are
// up, and who has a desktop for him. Those in down are supposed not to be up.
func (b *Broker) homeQuestion(ctx context.Context, t *table, who identity, down []string) redirect.Question {
	q := redirect.Question{Attributes: who.entry.Attributes, Available: b.availability(t), Visited: who.visited}
	if len(down) > 0 {
		really := q.Available
		q.Available = func(name string) (bool, string) {
			switch {
			case slices.Contains(down, name):
				return false, "supposed to be down"
			case really == nil:
				return true, "supposed to be up"
			}
			return really(name)
		}
	}
	if needs := redirect.Needs(who.from.redirect, q); len(needs) > 0 {
		q.Assigned = b.askAssigned(ctx, t, needs, AssignedQuestion{Directory: who.Directory, User: who.User})
	}
	return q
}

// availability answers from one snapshot whether a destination can take logins (RD7). Up and
// overloaded can: overloaded still serves, and nobody else is that user's home. One whose brokers all step
// aside refuses everybody. Unknown counts as available too: nothing has been measured yet (a destination was
// just added), and a refusal would be certain harm where the redirect is only possible harm. Without a
// health room in the process everything is unknown.
func (b *Broker) availability(t *table) func(string) (bool, string) {
	if b.o.Ref == nil || b.o.Snapshot == nil {
		return nil
	}
	snapshot := b.o.Snapshot()
	return func(name string) (bool, string) {
		key, err := checkKey(t.destinations[name])
		if err != nil {
			return false, err.Error()
		}
		s := snapshot.Get(b.o.Ref(key))
		why := fmt.Sprintf("%s is %s", key.Address, s.State)
		if s.Reason != "" {
			why += ": " + s.Reason
		}
		return s.State == healthcheck.Up || s.State == healthcheck.Unknown || s.State == healthcheck.Overloaded && !isalive.StepsAside(s.Load.Mode), why
	}
}
