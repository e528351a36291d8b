package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"switchpoint/admin"
	"switchpoint/broker"
	"switchpoint/broker/outage/mode"
	"switchpoint/internal/problem"
)

// leasesRoutes are the operations on leases (LS6).
func (a *app) leasesRoutes() map[string]admin.Operation {
	return map[string]admin.Operation{
		"GET leases":           a.ofStore(a.showLeases),
		"GET leases/local":     a.ofOutage(a.showLocalLeases),
		"POST leases/remove":   a.ofBroker(a.removeLeases),
		"POST leases/refresh":  a.ofOutage(a.refreshLeases),
		"GET leases/settings":  a.ofBroker(a.showLeaseSettings),
		"POST leases/settings": a.ofBroker(a.changeLeaseSettings),
	}
}

// leaseLine is one lease as the admin API tells it.
type leaseLine struct {
	Kind      string                `json:"kind"`
	User      string                `json:"user"`
	Directory string                `json:"directory"`
	Client    string                `json:"client,omitempty"`
	State     string                `json:"state"`
	Left      string                `json:"left,omitempty"` // how long it still counts
	Recorded  time.Time             `json:"recorded"`
	Expires   time.Time             `json:"expires"`
	Removed   time.Time             `json:"removed,omitzero"`
	Desktops  []broker.LeaseDesktop `json:"desktops"`
	Pools     []string              `json:"pools,omitempty"` // whose desktops the user may be offered
}

// States of a leaseLine.
const (
	leaseUsable  = "usable"
	leaseExpired = "expired"
	leaseRemoved = "removed"
)

func leaseLines(list []broker.Lease, now time.Time) []leaseLine {
	out := make([]leaseLine, len(list))
	for i, l := range list {
		line := leaseLine{
			Kind: l.Kind, User: l.User, Directory: l.Directory, Client: l.Client, State: leaseUsable,
			Recorded: l.Recorded, Expires: l.Expires, Removed: l.Removed, Desktops: l.Desktops,
		}
		for _, g := range l.Grants {
			line.Pools = append(line.Pools, g.Pool)
		}
		switch {
		case !l.Removed.IsZero():
			line.State = leaseRemoved
		case !l.Usable(now):
			line.State = leaseExpired
		default:
			line.Left = l.Expires.Sub(now).Truncate(time.Second).String()
		}
		out[i] = line
	}
	return out
}

// leaseFilter reads which leases are meant.
func leaseFilter(q url.Values) (broker.LeaseFilter, error) {
	f := broker.LeaseFilter{
		Kind: q.Get("kind"), Directory: q.Get("directory"), User: q.Get("user"), Desktop: q.Get("desktop"), Client: q.Get("client"),
		Removed: q.Get("removed") != "",
	}
	if f.Kind != "" && f.Kind != broker.LeaseEnumeration && f.Kind != broker.LeaseLaunch {
		return f, fmt.Errorf("kind %q is neither %s nor %s", f.Kind, broker.LeaseEnumeration, broker.LeaseLaunch)
	}
	var err error
	if text := q.Get("limit"); text != "" {
		if f.Most, err = strconv.Atoi(text); err != nil || f.Most < 1 || f.Most > 100_000 {
			return f, fmt.Errorf("limit %q is not in 1..100000", text)
		}
	}
	return f, nil
}

func (a *app) showLeases(ctx context.Context, r admin.Request) (any, error) {
	f, err := leaseFilter(r.Query)
	if err != nil {
		return nil, badRequest(err)
	}
	list, err := a.broker.Leases(ctx, f)
	if err != nil {
		return nil, withoutDatabase(err)
	}
	return leaseLines(list, time.Now()), nil
}

// showLocalLeases lists what this broker itself would serve from.
func (a *app) showLocalLeases(ctx context.Context, r admin.Request) (any, error) {
	f, err := leaseFilter(r.Query)
	if err != nil {
		return nil, badRequest(err)
	}
	list, err := a.outage.LocalLeases(ctx, f)
	if err != nil {
		return nil, err
	}
	return leaseLines(list, time.Now()), nil
}

// How long a refresh may take: less than the operator's command waits for an answer, and not for long when
// the database is known to be away.
const (
	refreshWithin = 25 * time.Second
	refreshAway   = 3 * time.Second
)

func (a *app) refreshLeases(ctx context.Context, _ admin.Request) (any, error) {
	bound := refreshWithin
	if a.outage.State().Mode != mode.Normal {
		bound = refreshAway
	}
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	out, err := a.outage.RefreshLeases(ctx)
	if err != nil {
		return nil, err
	}
	return explanation{[]string{fmt.Sprintf("%d leases are held by this broker now; %d were read in %s", out.Held, out.Read, out.Took.Round(time.Millisecond))}}, nil
}

// withoutDatabase says what can be seen of leases all the same.
func withoutDatabase(err error) error {
	if errors.Is(err, broker.ErrUnavailable) {
		return &admin.Error{Status: http.StatusServiceUnavailable, Text: err.Error() + "; --local shows what this broker would serve from"}
	}
	return err
}

func (a *app) removeLeases(ctx context.Context, r admin.Request) (any, error) {
	f, err := leaseFilter(r.Query)
	if err != nil {
		return nil, badRequest(err)
	}
	if everything := r.Query.Get("all") != ""; f.Narrow() == everything {
		return nil, badRequest(errors.New("name a user, directory, desktop, client or kind, or else all"))
	}
	n, err := a.broker.RemoveLeases(ctx, operator(r), f)
	if err != nil {
		return nil, err
	}
	return explanation{[]string{fmt.Sprintf("%d leases are removed; brokers drop their copies with their next look at the database", n)}}, nil
}

// leaseSettings is what is set about leases, and whether this broker serves from them (LS5).
type leaseSettings struct {
	Capability bool                  `json:"capability"`
	Why        string                `json:"why,omitempty"` // it has it not
	Settings   []broker.LeaseSetting `json:"settings"`
}

func (a *app) showLeaseSettings(context.Context, admin.Request) (any, error) {
	given := a.config.Load().cfg.Broker
	out := leaseSettings{Settings: append(a.broker.LeaseSettings(), outageSettings(*given)...)}
	effective := given.WithDefaults()
	if out.Why = effective.Outage.Leasing(); effective.Database.Kind == broker.KindSQLite {
		out.Why = "its database is embedded, on this host itself"
	}
	out.Capability = out.Why == ""
	return out, nil
}

// outageSettings are those of [broker.outage] that leases go by.
func outageSettings(given broker.Config) []broker.LeaseSetting {
	usual, effective := broker.Config{Database: given.Database}.WithDefaults().Outage, given.WithDefaults().Outage
	line := func(name, usual, given, effective string) broker.LeaseSetting {
		from := broker.FromDefault
		if given == effective {
			from = broker.FromNode
		}
		return broker.LeaseSetting{Setting: "[broker.outage] " + name, Default: usual, Effective: effective, From: from}
	}
	return []broker.LeaseSetting{
		line("mode", usual.Mode, given.Outage.Mode, effective.Mode),
		line("cache_every", usual.CacheEvery.String(), given.Outage.CacheEvery.String(), effective.CacheEvery.String()),
	}
}

// changeLeaseSettings changes what the query names.
func (a *app) changeLeaseSettings(ctx context.Context, r admin.Request) (any, error) {
	c, err := leaseChange(r.Query)
	if err != nil {
		return nil, badRequest(err)
	}
	changes, err := a.broker.SetLeases(ctx, c, operator(r))
	if wrong, ok := errors.AsType[problem.List](err); ok {
		return nil, badRequest(wrong)
	}
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, change := range changes {
		lines = append(lines, change.String())
	}
	if len(lines) == 0 {
		lines = []string{"nothing to change: it is so already"}
	}
	return explanation{lines}, nil
}

func leaseChange(q url.Values) (c broker.LeaseChange, err error) {
	for name, to := range map[string]**bool{"enabled": &c.Enabled, "per_client": &c.PerClient} {
		if !q.Has(name) {
			continue
		}
		v, err := strconv.ParseBool(q.Get(name))
		if err != nil {
			return c, fmt.Errorf("%s=%q is neither true nor false", name, q.Get(name))
		}
		*to = &v
	}
	if q.Has("life") {
		v, err := time.ParseDuration(cmp.Or(q.Get("life"), "0"))
		if err != nil {
			return c, fmt.Errorf("life=%q is no length of time", q.Get("life"))
		}
		c.Life = &v
	}
	return c, nil
}
