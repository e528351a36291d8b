package configs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"switchpoint/broker"
	"switchpoint/healthcheck"
	"switchpoint/healthcheck/isalive"
	"switchpoint/internal/problem"
	"switchpoint/lb"
)

// settle fills what belongs to the process and makes paths, which are relative to dir in the
// file, usable from the working directory.
func (c *Config) settle(dir string) {
	if c.Node.Name == "" {
		// Without a host name the empty name stays, and the check asks for one.
		c.Node.Name, _ = os.Hostname()
	}
	if c.Node.Datacenter == "" && len(c.Datacenters) == 1 {
		c.Node.Datacenter = c.Datacenters[0].Name
	}
	setDefault(&c.Node.StateDir, DefaultStateDir)
	setDefault(&c.Log.Level, DefaultLogLevel)
	setDefault(&c.Log.Format, DefaultLogFormat)
	for _, path := range c.paths() {
		*path = under(dir, *path)
	}
	for i := range c.Monitors {
		m := &c.Monitors[i]
		m.BindPassword, m.Password = secretUnder(dir, m.BindPassword), secretUnder(dir, m.Password)
	}
	if c.GTM != nil {
		c.GTM.Datacenter = c.Node.Datacenter
		c.GTM.Datacenters = c.datacenterNames()
		c.GTM.CookieSecret = secretUnder(dir, c.GTM.CookieSecret)
		c.GTM.Sites.BindPassword = secretUnder(dir, c.GTM.Sites.BindPassword)
	}
	if c.LB != nil {
		for i := range c.LB.Listeners {
			c.LB.Listeners[i].TicketSecret = secretUnder(dir, c.LB.Listeners[i].TicketSecret)
		}
		for i := range c.LB.Pools {
			p := &c.LB.Pools[i]
			p.PersistenceSecret = secretUnder(dir, p.PersistenceSecret)
			if p.Persistence == "" && c.asksBrokers(p.Monitor) {
				p.Persistence = lb.PersistSession
			}
		}
	}
	if c.Broker != nil {
		db := &c.Broker.Database
		db.Password = secretUnder(dir, db.Password)
		if db.Kind == "" || db.Kind == broker.KindSQLite {
			setDefault(&db.Path, filepath.Join(c.Node.StateDir, "broker.db"))
		}
	}
}

// asksBrokers says whether a monitor asks for the is_alive page, so that what it watches are brokers.
func (c *Config) asksBrokers(monitor string) bool {
	i := slices.IndexFunc(c.Monitors, func(m healthcheck.Monitor) bool { return m.Name == monitor })
	if i < 0 {
		return false
	}
	m := c.Monitors[i].WithDefaults()
	f := strings.Fields(m.Send)
	return (m.Kind == "http" || m.Kind == "https") && len(f) > 1 && isalive.Match(f[1])
}

// paths lists every value that names a file or folder.
func (c *Config) paths() []*string {
	list := []*string{&c.Node.StateDir, &c.Admin.Cert, &c.Admin.Key, &c.Admin.TokenFile}
	for i := range c.Monitors {
		list = append(list, &c.Monitors[i].CA)
	}
	if c.GTM != nil {
		list = append(list, &c.GTM.Sites.LDIF, &c.GTM.Sites.CA, &c.GTM.Geo.File, &c.GTM.QueryLog.File)
		for i := range c.GTM.Zones {
			list = append(list, &c.GTM.Zones[i].File)
		}
	}
	if c.LB != nil {
		for i := range c.LB.Listeners {
			l := &c.LB.Listeners[i]
			list = append(list, &l.Cert, &l.Key, &l.AccessLog)
			for j := range l.Certificates {
				list = append(list, &l.Certificates[j].Cert, &l.Certificates[j].Key)
			}
		}
		for i := range c.LB.Pools {
			list = append(list, &c.LB.Pools[i].CA)
		}
	}
	if c.Broker != nil {
		list = append(list, &c.Broker.Cert, &c.Broker.Key, &c.Broker.Seed, &c.Broker.Database.Path, &c.Broker.Database.CA)
	}
	return list
}

// settleSetup makes the paths of a setup absolute: it goes into the database, and brokers with
// other working directories read it there.
func settleSetup(s *broker.Setup, dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("the folder of the file cannot be found: %w", err)
	}
	for i := range s.Directories {
		d := &s.Directories[i]
		d.CA = under(dir, d.CA)
		d.BindPassword = secretUnder(dir, d.BindPassword)
	}
	for i := range s.Destinations {
		d := &s.Destinations[i]
		d.CA = under(dir, d.CA)
	}
	for i := range s.Powers {
		p := &s.Powers[i]
		p.CA, p.Bearer = under(dir, p.CA), secretUnder(dir, p.Bearer)
	}
	var l problem.List
	for i := range s.Centers {
		c := &s.Centers[i]
		c.CA = under(dir, c.CA)
		c.Bearer = secretUnder(dir, c.Bearer)
		if c.File != "" && c.CSV == "" {
			readInventory(&l, element("center", i)+".file", c, under(dir, c.File))
		}
	}
	return l.Err()
}

// readInventory puts the text of a center's file in its place: the file is on this machine only.
func readInventory(l *problem.List, at string, c *broker.Center, path string) {
	text, faults := readText(path)
	switch {
	case len(faults) > 0:
		l.Addf(at, faults[0].Cure, "%s %s", path, faults[0].What)
	case text == "":
		l.Addf(at, "write the names of the columns into its first line", "%s is empty", path)
	default:
		c.CSV, c.File = text, ""
	}
}

// secretUnder puts the path of a "file:PATH" reference below dir.
func secretUnder(dir, ref string) string {
	if path, isFile := strings.CutPrefix(ref, "file:"); isFile {
		return "file:" + under(dir, path)
	}
	return ref
}

// under puts a relative path below dir. Empty means "not given" and stays so.
func under(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

func setDefault(value *string, fallback string) {
	if *value == "" {
		*value = fallback
	}
}
