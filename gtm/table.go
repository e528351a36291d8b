package gtm

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"switchpoint/gtm/place"
	"switchpoint/gtm/steer"
	"switchpoint/healthcheck"
	"switchpoint/internal/problem"
)

// Table is a compiled Config: zones, steered names, topology and protocol settings. It is
// immutable.
type Table struct {
	zones    map[wireName]*zone
	places   *place.Table
	steering *steer.Table
	checks   map[healthcheck.Key]healthcheck.Ref
	protocol *protocol
	queryLog QueryLog
}

// Checks lists what the section wants to know the health of: the address and port of every
// member of a monitored name, each once.
func (c Config) Checks() []healthcheck.Key {
	var keys []healthcheck.Key
	seen := map[healthcheck.Key]bool{}
	for _, n := range c.Names {
		if n.Monitor == "" {
			continue
		}
		for _, p := range n.Pools {
			for _, m := range p.Members {
				if key := m.Key(n.Monitor); !seen[key] {
					seen[key] = true
					keys = append(keys, key)
				}
			}
		}
	}
	return keys
}

// Compile validates cfg, reads the zone files and builds the Table. ref gives the index of each
// of cfg.Checks in the snapshots that Resolve will get. The error is a problem.List; nothing is
// kept of a configuration that fails.
func Compile(cfg Config, ref func(healthcheck.Key) healthcheck.Ref) (*Table, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.WithDefaults()
	places, err := place.Compile(cfg.Places())
	if err != nil {
		return nil, err
	}
	checks := make(map[healthcheck.Key]healthcheck.Ref)
	steering, err := steer.Compile(cfg.Names, cfg.Datacenters, func(k healthcheck.Key) healthcheck.Ref {
		r := ref(k)
		checks[k] = r
		return r
	})
	if err != nil {
		return nil, err
	}
	var problems problem.List
	protocol, err := compileProtocol(cfg)
	problems.Under("", err)
	t := &Table{
		zones: make(map[wireName]*zone, len(cfg.Zones)), places: places, steering: steering, checks: checks, protocol: protocol,
		queryLog: cfg.QueryLog,
	}
	for i, z := range cfg.Zones {
		if err := t.addZone(z, max(cfg.Serial, 1)); err != nil {
			problems.Addf(fmt.Sprintf("zone[%d].file", i), zoneCure(err), "%v", err)
		}
	}
	if err := problems.Err(); err != nil {
		return nil, err // laying names over missing zones would only add noise
	}
	o := overlay{table: t}
	for i, n := range cfg.Names {
		o.name(fmt.Sprintf("name[%d]", i), i, n)
	}
	o.finish(cfg)
	if err := o.problems.Err(); err != nil {
		return nil, err
	}
	return t, nil
}

// zoneCure says what to do about a zone that did not load.
func zoneCure(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "write the path of an existing file"
	case errors.Is(err, fs.ErrPermission):
		return "let the user that runs this process read it"
	}
	return "correct that line; until then a running server keeps the zone that it has"
}

// View is the view of a node without a past that knows snap and has heard of no operator.
func (t *Table) View(snap *healthcheck.Snapshot, now time.Time) *steer.View {
	return steer.Direct(t.steering, nil, steer.Circumstances{Status: snap.Get, Now: now})
}

// addZone makes one zone, from its file or from its name servers.
func (t *Table) addZone(cfg Zone, serial uint32) error {
	origin, err := parseName(cfg.Origin)
	if err != nil {
		return fmt.Errorf("origin %q %w", cfg.Origin, err)
	}
	if cfg.File == "" {
		if len(cfg.NS) == 0 {
			return errors.New("neither a file nor name servers")
		}
		t.zones[origin] = synthZone(origin, cfg.NS, serial)
		return nil
	}
	z, err := readZoneFile(origin, cfg.File)
	if err != nil {
		return err
	}
	t.zones[origin] = z
	return nil
}

// zoneFor finds the zone that answers for a name: the one with the longest origin. DS at an
// origin is asked of the parent zone where that is ours and delegates the name (RFC 4035
// section 3.1.4.1).
func (t *Table) zoneFor(name wireName, qtype uint16) *zone {
	z := t.holder(name)
	if z == nil || qtype != typeDS || z.origin != name || name == rootName {
		return z
	}
	if parent := t.holder(name.parent()); parent != nil {
		if n := parent.nodes[name]; n != nil && n.get(typeNS) != nil {
			return parent
		}
	}
	return z
}

// holder finds the zone with the longest origin that a name lies in.
func (t *Table) holder(name wireName) *zone {
	for n := name; ; n = n.parent() {
		if z := t.zones[n]; z != nil {
			return z
		}
		if n == rootName {
			return nil
		}
	}
}
