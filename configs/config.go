package configs

import (
	"switchpoint/broker"
	"switchpoint/gtm"
	"switchpoint/healthcheck"
	"switchpoint/lb"
	"switchpoint/peer"
)

// Defaults of the sections that belong to the process itself.
const (
	DefaultStateDir  = "/var/lib/switchpoint"
	DefaultLogLevel  = "info"
	DefaultLogFormat = "text"
)

// Config is the file of one process. The roles that it has are the sections that it has: GTM,
// LB and Broker are nil where the section is absent.
type Config struct {
	// File is the name that Load was given.
	File string `toml:"-"`

	Node        Node                  `toml:"node"`
	Log         Log                   `toml:"log"`
	Admin       Admin                 `toml:"admin"`
	Peer        *peer.Config          `toml:"peer"`
	Health      healthcheck.Settings  `toml:"health"`
	Monitors    []healthcheck.Monitor `toml:"monitor"`
	Datacenters []Datacenter          `toml:"datacenter"`
	GTM         *gtm.Config           `toml:"gtm"`
	LB          *lb.Config            `toml:"lb"`
	Broker      *broker.Config        `toml:"broker"`

	// lines finds the origin of each value, for Effective.
	lines *index
	seed  seedFile
}

// Node is the [node] section: who this process is.
type Node struct {
	Name       string `toml:"name"`       // default the host name
	Datacenter string `toml:"datacenter"` // one of the [[datacenter]] names
	// StateDir holds all that the process keeps: identity key, database, admin socket.
	StateDir string `toml:"state_dir"`
}

// Log is the [log] section.
type Log struct {
	Level  string `toml:"level"`  // "debug", "info" (default), "warn", "error"
	Format string `toml:"format"` // "text" (default) or "json"
}

// Admin is the [admin] section: the admin API over TCP, besides the Unix socket in the state
// directory that is always there. TCP needs TLS and a bearer token (SE1).
type Admin struct {
	Listen string `toml:"listen"` // ip:port; empty: only the Unix socket
	Cert   string `toml:"cert"`   // PEM file
	Key    string `toml:"key"`    // PEM file
	// TokenFile is a file that holds the bearer token and nothing else.
	TokenFile string `toml:"token_file"`
}

// Datacenter is a [[datacenter]]: a place that names and topology rules refer to.
type Datacenter struct {
	Name string `toml:"name"`
}

// HealthConfig is what the health engine of the process has to watch: the monitors, and the
// checks that gtm and lb ask for.
func (c *Config) HealthConfig() healthcheck.Config {
	h := healthcheck.Config{Settings: c.Health, Monitors: c.Monitors}
	if c.GTM != nil {
		h.Checks = append(h.Checks, c.GTM.Checks()...)
	}
	if c.LB != nil {
		h.Checks = append(h.Checks, c.LB.Checks()...)
	}
	return h
}

// monitorNames lists the names of all monitors in file order.
func (c *Config) monitorNames() []string {
	names := make([]string, 0, len(c.Monitors))
	for _, m := range c.Monitors {
		names = append(names, m.Name)
	}
	return names
}

// datacenterNames lists the names of all datacenters in file order.
func (c *Config) datacenterNames() []string {
	names := make([]string, 0, len(c.Datacenters))
	for _, d := range c.Datacenters {
		names = append(names, d.Name)
	}
	return names
}

// peerNames lists the names of all peers in file order.
func (c *Config) peerNames() []string {
	if c.Peer == nil {
		return nil
	}
	names := make([]string, 0, len(c.Peer.Trust))
	for _, t := range c.Peer.Trust {
		names = append(names, t.Name)
	}
	return names
}
