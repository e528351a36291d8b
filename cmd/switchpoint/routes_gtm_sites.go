package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"switchpoint/admin"
	adsites "switchpoint/directory/sites"
)

// sitesWatcher is what follows the sites and subnets of Active Directory on this node.
func (a *app) sitesWatcher() (*adsites.Watcher, error) {
	if a.adSites == nil {
		return nil, &admin.Error{
			Status: http.StatusNotFound,
			Text:   "this node follows no sites of Active Directory; name a directory or a file in [gtm.sites]",
		}
	}
	return a.adSites, nil
}

func (a *app) showSites(context.Context, admin.Request) (any, error) {
	w, err := a.sitesWatcher()
	if err != nil {
		return nil, err
	}
	return explanation{sitesLines(w.Status())}, nil
}

// sitesLines tells how the import stands.
func sitesLines(s adsites.Status) []string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if s.Source == "" {
		add("- nothing was read yet")
	} else {
		add("+ in use: %d sites, %d subnets, %d site links of %s, read %s", s.Sites, s.Subnets, s.Links, s.Source, moment(s.Read))
	}
	if s.Problems > 0 {
		add("! %d objects were left out; the log names them", s.Problems)
	}
	if s.Failure != "" {
		add("- the last read, at %s, failed: %s", moment(s.Polled), s.Failure)
	}
	if s.NotSaved != "" {
		add("- the copy for the next start is not on disk: %s", s.NotSaved)
	}
	if s.PendingID != "" {
		add("! %d changed subnets wait for approval; look with `gtm sites diff`, take with `gtm sites approve %s`", s.Pending, s.PendingID)
	}
	return lines
}

func (a *app) showSitesDiff(context.Context, admin.Request) (any, error) {
	w, err := a.sitesWatcher()
	if err != nil {
		return nil, err
	}
	changes, waits := w.Pending()
	if !waits {
		return explanation{[]string{"no change waits for approval"}}, nil
	}
	return explanation{append(changes.Lines(), fmt.Sprintf("take it with: switchpoint gtm sites approve %s", changes.ID()))}, nil
}

func (a *app) approveSites(_ context.Context, r admin.Request) (any, error) {
	w, err := a.sitesWatcher()
	if err != nil {
		return nil, err
	}
	id := r.Query.Get("id")
	if id == "" {
		return nil, badRequest(errors.New("say which change, by its id; `gtm sites diff` shows it"))
	}
	if err := w.Approve(id); err != nil {
		return nil, &admin.Error{Status: http.StatusConflict, Text: err.Error()}
	}
	return explanation{append([]string{"taken: " + id}, sitesLines(w.Status())...)}, nil
}
