package broker

import (
	"cmp"
	"strconv"
	"time"

	"switchpoint/internal/problem"
)

// defaultLeaseLife: who has used a desktop within two weeks reaches it, whatever the database does (LS2).
const defaultLeaseLife = 14 * 24 * time.Hour

// Bounds of Leases.Life.
const (
	minLeaseLife = time.Hour
	maxLeaseLife = 365 * 24 * time.Hour
)

// ClientBrowser is the client name of all sessions that began on the sign-in page: a browser does not say
// on which device it runs.
const ClientBrowser = "browser"

// WithDefaults returns l with every default in its place.
func (l Leases) WithDefaults() Leases {
	if l.Enabled == nil {
		l.Enabled = new(true)
	}
	l.Life = cmp.Or(l.Life, defaultLeaseLife)
	return l
}

// validate reports the problems of the [leases] table.
func (l Leases) validate(list *problem.List) {
	life := l.WithDefaults().Life
	switch {
	case life < minLeaseLife:
		list.Addf("leases.life", "leave it out for the default of 336h; enabled = false makes none", "%s is shorter than %s", life, minLeaseLife)
	case life > maxLeaseLife:
		list.Addf("leases.life", "leave it out for the default of 336h", "%s is longer than %s, a year", life, maxLeaseLife)
	}
}

// terms is what a connect of that client leaves behind. Where leases count for one device only, a client
// that does not say which one it is leaves none.
func (l Leases) terms(client string) LeaseTerms {
	l = l.WithDefaults()
	switch {
	case !*l.Enabled:
		return LeaseTerms{}
	case !l.PerClient:
		return LeaseTerms{Life: l.Life}
	case client == "" || client == ClientBrowser:
		return LeaseTerms{}
	}
	return LeaseTerms{Life: l.Life, Client: client}
}

// LeaseSetting is one line of the answer to: what is set, what is its default, what is in force, and
// where does that come from (LS5).
type LeaseSetting struct {
	Setting   string `json:"setting"`
	Default   string `json:"default"`
	Effective string `json:"effective"`
	From      string `json:"from"` // FromDefault, "setup version N" or FromNode
}

// Values of LeaseSetting.From besides the version of the setup.
const (
	FromDefault = "default"
	FromNode    = "this node's configuration file"
)

// settings lists the [leases] table that the broker goes by.
func (l Leases) settings(version int64) []LeaseSetting {
	effective, usual := l.WithDefaults(), Leases{}.WithDefaults()
	line := func(name, usual, effective string, given bool) LeaseSetting {
		from := FromDefault
		if given {
			from = "setup version " + strconv.FormatInt(version, 10)
		}
		return LeaseSetting{Setting: "[leases] " + name, Default: usual, Effective: effective, From: from}
	}
	return []LeaseSetting{
		line("enabled", strconv.FormatBool(*usual.Enabled), strconv.FormatBool(*effective.Enabled), l.Enabled != nil),
		line("life", usual.Life.String(), effective.Life.String(), l.Life != 0),
		line("per_client", strconv.FormatBool(usual.PerClient), strconv.FormatBool(effective.PerClient), l.PerClient),
	}
}

// LeaseChange is what an operator changes of the [leases] table; nil: it stays.
type LeaseChange struct {
	Enabled   *bool
	Life      *time.Duration
	PerClient *bool
}

// apply returns l with the change.
func (c LeaseChange) apply(l Leases) Leases {
	if c.Enabled != nil {
		l.Enabled = new(*c.Enabled)
	}
	if c.Life != nil {
		l.Life = *c.Life
	}
	if c.PerClient != nil {
		l.PerClient = *c.PerClient
	}
	return l
}
