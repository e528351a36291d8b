package broker

import (
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"switchpoint/redirect"
)

// ruleHits counts how often a rule decided a login, by what came of it.
type ruleHits [redirect.HomeUnavailable + 1]atomic.Uint64

// load gives the counters by redirect.Action.
func (h *ruleHits) load() (n [redirect.HomeUnavailable + 1]uint64) {
	for i := range h {
		n[i] = h[i].Load()
	}
	return n
}

// ruleKey is one rule of a directory. A rule that is edited, or moves, is another one and starts at 0.
type ruleKey struct {
	line int
	text string
}

// hitsOf makes the counters of a directory's rules; those that did not change are taken over from old.
func hitsOf(t *redirect.Table, old map[ruleKey]*ruleHits) map[ruleKey]*ruleHits {
	hits := make(map[ruleKey]*ruleHits)
	for _, r := range t.Rules() {
		k := ruleKey{r.Line, r.Text}
		if hits[k] = old[k]; hits[k] == nil {
			hits[k] = new(ruleHits)
		}
	}
	return hits
}

// count notes the decision of a login.
func (d *dirEntry) count(got redirect.Decision) {
	if d == nil || got.Rule == nil {
		return
	}
	if h := d.hits[ruleKey{got.Rule.Line, got.Rule.Text}]; h != nil {
		h[got.Action].Add(1)
	}
}

// redirectCounts are the metrics of redirection.
type redirectCounts struct {
	issued, taken, refused atomic.Uint64
}

// spent notes a login by ticket that the store has written down.
func (c *redirectCounts) spent(a *attempt, out LoginOutcome) {
	if a.ticket != "" && !out.Replayed && (out.Session != nil || out.Redirect != "") {
		c.taken.Add(1)
	}
}

var (
	ruleHitsDesc = prometheus.NewDesc("switchpoint_redirect_rule_hits_total",
		"Logins that a redirect rule decided, by what came of it.", []string{"directory", "line", "destination", "outcome"}, nil)
	ticketsDesc = prometheus.NewDesc("switchpoint_redirect_tickets_total",
		"Tickets for logins without a second password: issued here, taken here, or refused here.", []string{"result"}, nil)
)

// redirectCollector shows the counters of the rules that are in use now.
type redirectCollector struct{ b *Broker }

// Describe implements prometheus.Collector.
func (redirectCollector) Describe(ch chan<- *prometheus.Desc) { ch <- ruleHitsDesc; ch <- ticketsDesc }

// Collect implements prometheus.Collector. A rule that never decided anything has no series.
func (c redirectCollector) Collect(ch chan<- prometheus.Metric) {
	for result, n := range map[string]*atomic.Uint64{"issued": &c.b.redirects.issued, "taken": &c.b.redirects.taken, "refused": &c.b.redirects.refused} {
		ch <- prometheus.MustNewConstMetric(ticketsDesc, prometheus.CounterValue, float64(n.Load()), result)
	}
	for _, d := range c.b.table.Load().directories {
		if d.redirect == nil {
			continue
		}
		for _, r := range d.redirect.Rules() {
			for action, n := range d.hits[ruleKey{r.Line, r.Text}].load() {
				if n > 0 {
					ch <- prometheus.MustNewConstMetric(ruleHitsDesc, prometheus.CounterValue, float64(n),
						d.config.Name, strconv.Itoa(r.Line), r.Destination, redirect.Action(action).String())
				}
			}
		}
	}
}
