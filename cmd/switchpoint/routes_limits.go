package main

import (
	"context"
	"fmt"
	"time"

	"switchpoint/admin"
	"switchpoint/broker"
)

// limitsRoutes are the operations on blocks after too many failed sign-ins (SE2).
func (a *app) limitsRoutes() map[string]admin.Operation {
	return map[string]admin.Operation{
		"GET limits":        a.ofStore(a.showLimits),
		"POST limits/lift":  a.ofStore(a.liftLimits),
		"POST limits/block": a.ofStore(a.blockUser),
	}
}

// limitLine is one block as the admin API tells it.
type limitLine struct {
	Kind   broker.LimitKind `json:"kind"`
	User   string           `json:"user,omitempty"`
	Source string           `json:"address,omitempty"`
	Level  int              `json:"level"` // the how many-th in a row
	SiteID int              `json:"site_id"`
	Since  time.Time        `json:"since"`
	Until  time.Time        `json:"until"`
	Left   string           `json:"left"`
	Except []string         `json:"except,omitempty"` // addresses where a block of a user does not hold
}

func (a *app) showLimits(ctx context.Context, _ admin.Request) (any, error) {
	list, err := a.broker.LimitBlocks(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	out := make([]limitLine, len(list))
	for i, b := range list {
		out[i] = limitLine{
			Kind: b.Kind, User: b.User, Source: b.Source, Level: b.Level, SiteID: b.SiteID, Since: now.Add(-b.Age), Until: now.Add(b.Left),
			Left: b.Left.Round(time.Second).String(), Except: b.Except,
		}
	}
	return out, nil
}

func (a *app) liftLimits(ctx context.Context, r admin.Request) (any, error) {
	user, address := r.Query.Get("user"), r.Query.Get("address")
	if user == "" && address == "" && r.Query.Get("all") == "" {
		return nil, badRequest(fmt.Errorf("name a user, an address, both, or all"))
	}
	lines, err := a.liftBlocks(ctx, user, address, operator(r))
	return explanation{lines}, err
}

// liftBlocks ends blocks, and says which.
func (a *app) liftBlocks(ctx context.Context, user, address, by string) ([]string, error) {
	lifted, err := a.broker.LiftLimits(ctx, user, address, by)
	lines := make([]string, len(lifted))
	for i, k := range lifted {
		lines[i] = fmt.Sprintf("the block of %s is lifted", k)
	}
	return lines, err
}
