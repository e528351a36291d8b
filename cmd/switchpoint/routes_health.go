package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"switchpoint/admin"
	"switchpoint/healthcheck"
)

// checkLine is one check as the admin API tells it.
type checkLine struct {
	Address string    `json:"address"`
	Monitor string    `json:"monitor"`
	State   string    `json:"state"`
	Since   time.Time `json:"since"`
	Reason  string    `json:"reason"`
	TTFB    float64   `json:"ttfb_ms"`
	Mode    string    `json:"mode,omitempty"` // that the target says it works in, since ModeSince
	Spare   int       `json:"spare"`          // -1: the target does not say

	ModeSince time.Time `json:"mode_since,omitzero"`
}

func (a *app) showHealth(context.Context, admin.Request) (any, error) {
	list := a.health.engine.List()
	out := make([]checkLine, len(list))
	for i, c := range list {
		out[i] = checkLine{
			Address: c.Key.Address, Monitor: c.Key.Monitor, State: c.Status.State.String(), Since: c.Status.Since,
			Reason: c.Status.Reason, TTFB: float64(c.Status.TTFB.Microseconds()) / 1000,
			Mode: c.Status.Load.Mode, ModeSince: c.Status.ModeSince, Spare: c.Status.Load.Spare(),
		}
	}
	return out, nil
}

func (a *app) showCheck(_ context.Context, r admin.Request) (any, error) {
	var lines []string
	for _, k := range a.keysOf(r) {
		if detail, ok := a.health.engine.Show(k); ok {
			lines = append(lines, detail.Lines()...)
		}
	}
	return orUnknown(r, lines)
}

func (a *app) showHistory(_ context.Context, r admin.Request) (any, error) {
	keys := a.keysOf(r)
	var lines []string
	for _, k := range keys {
		for _, e := range a.health.engine.History(k) {
			lines = append(lines, eventLine(k, e))
		}
	}
	if len(keys) > 0 && len(lines) == 0 {
		lines = []string{"nothing has happened to it yet"}
	}
	return orUnknown(r, lines)
}

// keysOf are the checks of the address, of one monitor if that is given.
func (a *app) keysOf(r admin.Request) []healthcheck.Key {
	var keys []healthcheck.Key
	for _, c := range a.health.engine.List() {
		if c.Key.Address == r.Query.Get("address") && (r.Query.Get("monitor") == "" || r.Query.Get("monitor") == c.Key.Monitor) {
			keys = append(keys, c.Key)
		}
	}
	return keys
}

func orUnknown(r admin.Request, lines []string) (any, error) {
	if len(lines) == 0 {
		return nil, &admin.Error{
			Status: http.StatusNotFound,
			Text:   fmt.Sprintf("this node has no check of %s; `health list` shows what it watches", r.Query.Get("address")),
		}
	}
	return explanation{lines}, nil
}

func (a *app) forceHealth(_ context.Context, r admin.Request) (any, error) {
	var o healthcheck.Override
	if err := json.Unmarshal(r.Body, &o); err != nil {
		return nil, badRequest(fmt.Errorf("read the override: %w", err))
	}
	if err := a.health.engine.Force(o); err != nil {
		return nil, badRequest(err)
	}
	return explanation{[]string{fmt.Sprintf("%s is forced %s", o.Pattern, o.State)}}, nil
}

func (a *app) releaseHealth(_ context.Context, r admin.Request) (any, error) {
	pattern := r.Query.Get("pattern")
	n, err := a.health.engine.Release(pattern)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, &admin.Error{Status: http.StatusNotFound, Text: fmt.Sprintf("nothing is forced or held under %q", pattern)}
	}
	return explanation{[]string{fmt.Sprintf("released %s (%d)", pattern, n)}}, nil
}
