package broker

import (
	"context"
	"time"
)

// StartTarget is what starting a desktop needs to know of it.
type StartTarget struct {
	ID     string
	Name   string
	Host   string
	Port   int
	Key    string // what its center knows it by; empty: its name
	MAC    string
	Pool   string // in which it stands
	Center string
	Alive  bool // its agent was heard of within AgentFresh
	Start  *StartState
}

// StartState is how the newest start of a desktop stands. Its row goes when the desktop is up.
type StartState struct {
	Asked  time.Duration // ago
	Called time.Duration // ago, the newest call of the power action; negative: none yet
	Failed time.Duration // ago; negative: it has not
	Error  string        // why it failed
}

// underWay says whether a start may still succeed; within is its start_timeout.
func (s *StartState) underWay(within time.Duration) bool {
	return s != nil && s.Failed < 0 && s.Asked < within+startGrace
}

// StartEvent is a step of a start.
type StartEvent string

// The steps of a start.
const (
	StartAsked  StartEvent = "asked" // from the beginning
	StartCalled StartEvent = "called"
	StartUp     StartEvent = "up"
	StartFailed StartEvent = "failed"
)

// PowerStore is the part of a Store that starts of desktops come through.
type PowerStore interface {
	// StartTargets returns the desktops with these ids, in that order; unknown ones are left out.
	StartTargets(ctx context.Context, ids []string) ([]StartTarget, error)
	// RecordStart keeps a step of a desktop's start; why is of a failed one.
	RecordStart(ctx context.Context, desktop string, e StartEvent, why string) error
	// DropClaim ends the claim that the user has on a desktop which did not start.
	DropClaim(ctx context.Context, desktop string, who Who) error
}
