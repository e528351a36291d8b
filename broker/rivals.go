package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	rivalsEvery = 5 * time.Minute
	rivalsRetry = 30 * time.Second // after a cluster that did not answer
	rivalsLook  = time.Second      // between two looks whether the setup changed
	rivalsBound = 30 * time.Second // for all pages of one cluster
	rivalsTold  = 20               // conflicts of one round that are logged each
)

// RivalsOptions is what Rivals consume. Broker, Clusters and Ask are required.
type RivalsOptions struct {
	Broker *Broker
	// Clusters names the other clusters that can be asked.
	Clusters func() []string
	// Ask asks any broker of a cluster. Its error is shown to operators.
	Ask     func(ctx context.Context, cluster string, q ResourceQuestion) (ResourcePage, error)
	Log     *slog.Logger
	Metrics prometheus.Registerer
	Every   time.Duration // default 5m
}

// Rivals watch whether other clusters manage machines of this one (TP3). They only tell: nobody
// but an admin knows which of the two is right, and until he has decided both go on as they are.
type Rivals struct {
	o      RivalsOptions
	log    *slog.Logger
	count  *prometheus.GaugeVec
	silent map[string]bool // clusters whose newest question failed; of Run only

	mu      sync.Mutex
	version int64 // of the setup that own is of
	own     []resource
	found   map[string][]ResourceConflict // by cluster
}

// NewRivals makes them; Run does the work.
func NewRivals(o RivalsOptions) (*Rivals, error) {
	if o.Broker == nil || o.Clusters == nil || o.Ask == nil {
		return nil, errors.New("rivals: Broker, Clusters and Ask are required")
	}
	o.Every = cmp.Or(o.Every, rivalsEvery)
	r := &Rivals{o: o, log: o.Log, silent: make(map[string]bool), found: make(map[string][]ResourceConflict)}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	r.count = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "switchpoint_broker_resource_conflicts",
		Help: "Desktops whose machine another cluster manages too.",
	}, []string{"cluster"})
	if o.Metrics != nil {
		if err := o.Metrics.Register(r.count); err != nil {
			return nil, fmt.Errorf("rivals: register metrics: %w", err)
		}
	}
	return r, nil
}

// Answer is what a broker of another cluster gets for its question.
func (r *Rivals) Answer(q ResourceQuestion) (ResourcePage, error) {
	return pageOf(r.resources(), q, resourcesPerPage)
}

// Conflicts are those that the newest answer of each cluster shows, by cluster and desktop. A
// cluster that does not answer keeps its last ones.
func (r *Rivals) Conflicts() []ResourceConflict {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []ResourceConflict
	for _, cluster := range slices.Sorted(maps.Keys(r.found)) {
		out = append(out, r.found[cluster]...)
	}
	return out
}

// resources are those of the setup in use, worked out once for each.
func (r *Rivals) resources() []resource {
	t := r.o.Broker.table.Load()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.version != t.version {
		r.own, r.version = resourcesOf(t.setup.Desktops), t.version
	}
	return r.own
}

// Run compares until ctx ends: at once, then every five minutes and whenever the own setup changed.
func (r *Rivals) Run(ctx context.Context) error {
	tick := time.NewTicker(min(rivalsLook, r.o.Every))
	defer tick.Stop()
	seen := int64(-1)
	var next time.Time
	for ctx.Err() == nil {
		if v := r.o.Broker.table.Load().version; v != seen || !time.Now().Before(next) {
			seen = v
			wait := r.o.Every
			if !r.round(ctx) {
				wait = min(wait, rivalsRetry)
			}
			next = time.Now().Add(wait)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	return nil
}

// round compares with every other cluster and says whether all of them answered.
func (r *Rivals) round(ctx context.Context) bool {
	own, clusters := r.resources(), r.o.Clusters()
	all := true
	for _, cluster := range clusters {
		found, err := r.compare(ctx, cluster, own)
		if ctx.Err() != nil {
			return false
		}
		switch {
		case err != nil:
			all = false
			if !r.silent[cluster] {
				r.log.Warn("another cluster does not say which desktops it manages; whether both manage one is not known", "cluster", cluster, "error", err)
			}
		case r.silent[cluster]:
			r.log.Info("the other cluster says again which desktops it manages", "cluster", cluster)
		}
		r.silent[cluster] = err != nil
		if err == nil {
			r.settle(cluster, found)
		}
	}
	r.forget(clusters)
	return all
}

// compare asks a cluster for all of its pages and gives the own desktops that it has too.
func (r *Rivals) compare(ctx context.Context, cluster string, own []resource) ([]ResourceConflict, error) {
	ctx, cancel := context.WithTimeout(ctx, rivalsBound)
	defer cancel()
	var found []ResourceConflict
	var q ResourceQuestion
	for seen := 0; ; {
		page, err := r.o.Ask(ctx, cluster, q)
		if err != nil {
			return nil, err
		}
		theirs, err := page.read(q)
		if err != nil {
			return nil, fmt.Errorf("the answer is not usable: %w", err)
		}
		for _, s := range shared(own, theirs) {
			found = append(found, ResourceConflict{Desktop: s.desktop, Host: s.host, Cluster: cluster})
		}
		if !page.More {
			return found, nil
		}
		if seen += len(theirs); seen >= maxResources {
			return nil, fmt.Errorf("it has more than %d desktops", maxResources)
		}
		q.After = theirs[len(theirs)-1][:]
	}
}

// settle remembers what was found in a cluster and tells what is new.
func (r *Rivals) settle(cluster string, found []ResourceConflict) {
	slices.SortFunc(found, func(a, b ResourceConflict) int { return cmp.Compare(a.Desktop, b.Desktop) })
	r.mu.Lock()
	added, gone := conflictsChanged(r.found[cluster], found)
	r.found[cluster] = found
	r.mu.Unlock()
	r.count.WithLabelValues(cluster).Set(float64(len(found)))
	for _, c := range added[:min(len(added), rivalsTold)] {
		r.log.Warn("a desktop is in another cluster too: it may offer it to another user, and log off whom this one sent there; remove it from one of them",
			"desktop", c.Desktop, "host", c.Host, "cluster", cluster)
	}
	if more := len(added) - rivalsTold; more > 0 {
		r.log.Warn("more desktops are in another cluster too; `switchpoint status` lists them", "more", more, "cluster", cluster)
	}
	if len(gone) > 0 {
		r.log.Info("desktops are no longer in both clusters", "cluster", cluster, "ended", len(gone), "left", len(found))
	}
}

// forget drops what was known of clusters that are not trusted any more.
func (r *Rivals) forget(clusters []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for cluster := range r.found {
		if !slices.Contains(clusters, cluster) {
			delete(r.found, cluster)
			r.count.DeleteLabelValues(cluster)
		}
	}
	maps.DeleteFunc(r.silent, func(cluster string, _ bool) bool { return !slices.Contains(clusters, cluster) })
}
