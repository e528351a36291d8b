package lb

import (
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Check says whether t fits the bound listeners: their number, names, addresses and whether
// they speak TLS cannot change while the process runs.
func (p *Proxy) Check(t *Table) error {
	if len(t.listeners) != len(p.listeners) {
		return fmt.Errorf("lb: %d listeners are bound and the new configuration has %d: restart to change listeners", len(p.listeners), len(t.listeners))
	}
	for i, l := range p.listeners {
		n := t.listeners[i]
		if n.name != l.name || n.listen != l.listen {
			return fmt.Errorf("lb: listener[%d] is bound as %q on %s and would become %q on %s: restart to change listeners", i, l.name, l.listen, n.name, n.listen)
		}
		if n.tcp != l.tcp {
			return fmt.Errorf("lb: listener[%d] %q: restart to change its mode", i, l.name)
		}
		if n.secure() != l.secure {
			return fmt.Errorf("lb: listener[%d] %q: restart to turn TLS on or off", i, l.name)
		}
	}
	return p.nodes.Check(t.nodes)
}

// SetTable puts t to work for all requests that begin from now on. Members that t has under the
// same pool and address keep in-flight counts, averages, connections and persistence. A table
// that Check refuses changes nothing.
func (p *Proxy) SetTable(t *Table) error {
	if err := p.Check(t); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.nodes.SetConfig(t.nodes); err != nil {
		return err
	}
	known := p.nextID
	next := &live{}
	kept := make(map[upstreamKey]bool)
	for _, pt := range t.pools {
		next.pools = append(next.pools, p.join(pt, kept))
	}
	joinNodes(next.pools)
	for i, pt := range t.pools {
		if pt.backup >= 0 {
			next.pools[i].backup = next.pools[pt.backup]
		}
	}
	for i, lt := range t.listeners {
		l := &liveListener{listenerTable: lt, n: i, byPool: make(map[int]int), log: p.accessLog(lt.logPath), jsonName: jsonOf(lt.name)}
		for _, n := range t.reach(lt.pools()) {
			l.byPool[n] = len(l.targets)
			l.targets = append(l.targets, p.target(&lt, next.pools[n]))
			if name := next.pools[n].persist.cookie; name != "" {
				l.cookies = append(l.cookies, name)
			}
		}
		for i := range l.targets {
			if b := l.targets[i].poolTable.backup; b >= 0 {
				l.targets[i].backup = &l.targets[l.byPool[b]]
			}
		}
		next.listeners = append(next.listeners, l)
	}
	p.overlayAll(next, time.Now())
	old := p.live.Swap(next)
	p.stopDelay.Store(int64(t.stopDelay))
	for i, l := range p.listeners {
		l.use(&t.listeners[i], p)
	}
	for key, u := range p.upstreams {
		if !kept[key] {
			u.retire()
			u.queue.kick()
			if u.held.Load() == 0 { // else it may come back with what it has
				delete(p.upstreams, key)
			}
		}
	}
	p.forget(old, next)
	if p.nextID > known {
		p.nodes.Resync() // entries of the new members were left out
	}
	for _, lp := range next.pools {
		lp.wakeAll() // there may be more places now
	}
	return nil
}

// target makes the series of a pool behind a listener.
func (p *Proxy) target(l *listenerTable, lp *livePool) target {
	t := target{livePool: lp}
	if l.tcp {
		t.tcp = p.metrics.tcp.target(l.name, lp)
		return t
	}
	for _, m := range lp.members {
		t.codes = append(t.codes, p.metrics.codes(l.name, lp.name, m.name))
	}
	t.codes = append(t.codes, p.metrics.codes(l.name, lp.name, "none"))
	return t
}

// join gives a pool of a table its lasting state.
func (p *Proxy) join(pt poolTable, kept map[upstreamKey]bool) *livePool {
	state := p.pools[pt.name]
	inUse := state != nil
	if !inUse {
		state = &poolState{persistState: newPersistState(pt.name, p.sticks, p.metrics.spread.WithLabelValues(pt.name)), retries: p.metrics.retries.WithLabelValues(pt.name), refusedRetries: p.metrics.refusedRetries.WithLabelValues(pt.name)}
		for end := range state.waitEnds {
			state.waitEnds[end] = p.metrics.waits.WithLabelValues(pt.name, waited(end).String()) // #nosec G115 -- few
		}
		p.pools[pt.name] = state
	}
	if state.lastMethod != pt.method {
		state.lastMethod = pt.method
		state.startup.Restart()
	}
	lp := &livePool{poolTable: pt, poolState: state, jsonName: jsonOf(pt.name)}
	lp.cookies = p.cookieWriter(&pt)
	for _, m := range pt.members {
		key := upstreamKey{pt.name, m.address}
		u := p.upstreams[key]
		if u == nil {
			p.nextID++
			u = &upstream{id: p.nextID, address: m.address}
			u.Use(p.now())
			if inUse {
				u.back.Store(away)
			}
			p.upstreams[key] = u
			state.startup.Restart()
		}
		if u.use(pt.dial) && inUse { // it was away, and is back
			u.back.Store(away)
		}
		u.most.Store(int64(m.most))
		kept[key] = true
		lp.ups = append(lp.ups, u)
		lp.metrics = append(lp.metrics, p.metrics.member(pt.name, m.name))
		lp.jsonMembers = append(lp.jsonMembers, jsonOf(m.name))
	}
	return lp
}

// forget removes state and series of pools and members that are gone, and of pools that a
// listener uses no more.
func (p *Proxy) forget(old, next *live) {
	if old == nil {
		return
	}
	type series struct{ pool, member string }
	have := make(map[series]bool)
	pools := make(map[string]bool)
	for _, lp := range next.pools {
		pools[lp.name] = true
		for _, m := range lp.members {
			have[series{lp.name, m.name}] = true
		}
	}
	for _, lp := range old.pools {
		for _, m := range lp.members {
			if !have[series{lp.name, m.name}] {
				p.metrics.forget(lp.name, m.name)
			}
		}
		if !pools[lp.name] {
			delete(p.pools, lp.name)
			p.metrics.requests.DeletePartialMatch(prometheus.Labels{"pool": lp.name})
			p.metrics.tcp.forget(prometheus.Labels{"pool": lp.name})
			p.metrics.retries.DeleteLabelValues(lp.name)
			p.metrics.refusedRetries.DeleteLabelValues(lp.name)
			p.metrics.spread.DeleteLabelValues(lp.name)
			p.metrics.waits.DeletePartialMatch(prometheus.Labels{"pool": lp.name})
		}
	}
	for i, l := range old.listeners {
		for _, t := range l.targets {
			if !next.listeners[i].uses(t.name) {
				p.metrics.requests.DeletePartialMatch(prometheus.Labels{"listener": l.name, "pool": t.name})
				p.metrics.tcp.forget(prometheus.Labels{"listener": l.name, "pool": t.name})
			}
		}
	}
}

// reach adds the pools that back up others.
func (t *Table) reach(pools []int) []int {
	for i := 0; i < len(pools); i++ {
		if b := t.pools[pools[i]].backup; b >= 0 && !slices.Contains(pools, b) {
			pools = append(pools, b)
		}
	}
	return pools
}

func (l *liveListener) uses(pool string) bool {
	return slices.ContainsFunc(l.targets, func(t target) bool { return t.name == pool })
}
