package broker

import (
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"

	"switchpoint/directory"
	"switchpoint/healthcheck"
	"switchpoint/redirect"
)

// table is a compiled setup: immutable, loaded once per login.
type table struct {
	version      int64
	setup        Setup // with defaults
	directories  []dirEntry
	destinations map[string]redirect.Destination
	policies     []policy
	kinds        map[string]string // kind of each desktop pool
	protocols    map[string]protocol
	ports        map[string]int // default port of each protocol
	users        map[string]passwordHash
	standIns     []passwordHash // of all users, in the order of their names
	checks       []healthcheck.Key
	monitors     []healthcheck.Monitor // of destinations that name none
	origins      []string              // where a browser may be sent
}

// dirEntry is a directory in its place in the order.
type dirEntry struct {
	config     directory.Config
	client     *directory.Client
	redirect   *redirect.Table // nil: everybody logs in here (RD9)
	hits       map[ruleKey]*ruleHits
	attributes []string // what rules and policies look at
}

// compile makes the table of a setup. Clients of directories that did not change are taken over
// from old, with their connections.
func (b *Broker) compile(s Setup, old *table) (*table, error) {
	s = s.WithDefaults()
	if err := s.Validate(b.o.Monitors, b.cfg.Cluster); err != nil {
		return nil, err
	}
	t := &table{
		setup:        s,
		destinations: make(map[string]redirect.Destination),
		kinds:        make(map[string]string),
		protocols:    make(map[string]protocol),
		ports:        s.protocolPorts(),
		users:        make(map[string]passwordHash),
	}
	for _, p := range s.DesktopPools {
		t.kinds[p.Name] = p.Kind
	}
	for _, p := range s.Protocols {
		text, err := parseTemplate(p.Template)
		if err != nil {
			return nil, fmt.Errorf("protocol %s: %w", p.Name, err)
		}
		t.protocols[p.Name] = protocol{p, text}
	}
	for _, u := range s.Users {
		hash, err := parseHash(u.Password)
		if err != nil {
			return nil, fmt.Errorf("user %s: %w", u.Name, err)
		}
		t.users[u.Name] = hash
	}
	for _, name := range slices.Sorted(maps.Keys(t.users)) {
		t.standIns = append(t.standIns, t.users[name])
	}
	for _, p := range s.Policies {
		c, err := compilePolicy(p)
		if err != nil {
			return nil, fmt.Errorf("policy %s: %w", p.Name, err)
		}
		t.policies = append(t.policies, c)
	}
	if err := t.addDestinations(b.cfg.Cluster); err != nil {
		return nil, err
	}
	return t, b.addDirectories(t, old)
}

func (t *table) addDestinations(own string) error {
	for _, d := range t.setup.Destinations {
		t.destinations[d.Name] = d
		if d.Cluster == own {
			continue
		}
		key, err := checkKey(d)
		if err != nil {
			return fmt.Errorf("destination %s: %w", d.Name, err)
		}
		if !slices.Contains(t.checks, key) {
			t.checks = append(t.checks, key)
		}
		if err := checkCA(d.CA); err != nil {
			return fmt.Errorf("destination %s: %w", d.Name, err)
		}
		if d.Monitor == "" {
			own, err := ownMonitor(d)
			if err != nil {
				return fmt.Errorf("destination %s: %w", d.Name, err)
			}
			t.monitors = append(t.monitors, own)
		}
		u, err := url.Parse(d.URL)
		if err != nil {
			return fmt.Errorf("destination %s: %w", d.Name, err)
		}
		t.origins = append(t.origins, u.Scheme+"://"+u.Host)
	}
	return nil
}

func (b *Broker) addDirectories(t *table, old *table) error {
	var policyAttributes []string
	for _, p := range t.policies {
		if p.Attribute != "" && !slices.Contains(policyAttributes, p.Attribute) {
			policyAttributes = append(policyAttributes, p.Attribute)
		}
	}
	for _, d := range t.setup.Directories {
		e := dirEntry{config: d.Config, attributes: slices.Clone(policyAttributes)}
		var err error
		if d.Redirect != nil {
			if e.redirect, err = redirect.Compile(*d.Redirect, t.setup.Destinations, b.cfg.Cluster); err != nil {
				return fmt.Errorf("directory %s: %w", d.Name, err)
			}
			e.attributes = append(e.attributes, e.redirect.Attribute())
			before, _ := old.directory(d.Name)
			e.hits = hitsOf(e.redirect, before.hits)
		}
		if e.client = old.client(d.Config); e.client == nil {
			if e.client, err = b.newDirectory(d.Config); err != nil {
				return fmt.Errorf("directory %s: %w", d.Name, err)
			}
		}
		t.directories = append(t.directories, e)
		for _, key := range directoryChecks(d.Config) {
			if !slices.Contains(t.checks, key) {
				t.checks = append(t.checks, key)
			}
		}
	}
	return nil
}

// client finds the running client of an unchanged directory.
func (t *table) client(c directory.Config) *directory.Client {
	for _, d := range t.directories {
		if reflect.DeepEqual(d.config, c) {
			return d.client
		}
	}
	return nil
}

func (t *table) directory(name string) (dirEntry, bool) {
	for _, d := range t.directories {
		if d.config.Name == name {
			return d, true
		}
	}
	return dirEntry{}, false
}
