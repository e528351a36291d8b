package broker

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"switchpoint/internal/problem"
	"switchpoint/internal/secret"
)

// Kinds of centers.
const (
	CenterCSV  = "csv"
	CenterAD   = "ad"
	CenterHTTP = "http"
)

// Defaults and bounds of centers.
const (
	defaultCenterEvery   = 15 * time.Minute
	minCenterEvery       = 10 * time.Second
	maxCenterEvery       = 7 * 24 * time.Hour
	defaultCenterTimeout = time.Minute
	maxCenterTimeout     = 10 * time.Minute
	defaultMaxVanish     = 50
	maxInventory         = 32 << 20 // bytes of an inventory from elsewhere
	maxInventoryText     = 4 << 20  // bytes of one that the setup holds
	defaultADFilter      = "(objectCategory=computer)"
)

// Center is a [[center]]: a source of desktops (BR1). It is scanned by a job. The machines that it
// lists become desktops; what is no longer in it is marked, never deleted.
type Center struct {
	Name  string        `toml:"name"`
	Kind  string        `toml:"kind"`
	Every time.Duration `toml:"every"` // from one scan to the next; default 15m
	// MaxVanish is how many percent of its desktops a scan may mark as vanished without being asked;
	// default 50.
	MaxVanish *int `toml:"max_vanish"`
	// Port and Protocol are those of machines that say none; default "rdp" and its port.
	Port     int    `toml:"port"`
	Protocol string `toml:"protocol"`
	// Power is the [[power]] action that starts its desktops, unless their pool has one.
	Power string `toml:"power"`
	// Fields says what the source calls each attribute of a machine.
	Fields CenterFields `toml:"fields"`

	// CSV is the inventory itself. File names a file that whoever applies the setup puts in its
	// place: the database holds the text, so that every broker has the same.
	CSV  string `toml:"csv"`
	File string `toml:"file"`
	// URL is where an inventory is fetched, for kinds csv and http.
	URL string `toml:"url"`
	// Bearer is a secret that goes with the request: "file:PATH" or "env:NAME".
	Bearer  string        `toml:"bearer"`
	CA      string        `toml:"ca"`      // PEM roots for URL; default the system's
	Timeout time.Duration `toml:"timeout"` // of a whole scan's reading; default 1m
	// Items is the way to the list in a JSON inventory, keys with dots between; empty: the list is
	// the document.
	Items string `toml:"items"`

	// Directory is where an ad center searches: one of the [[directory]] entries.
	Directory string `toml:"directory"`
	Base      string `toml:"base"`   // below which entry; default the directory's
	Filter    string `toml:"filter"` // default "(objectCategory=computer)"
}

// CenterFields names a column of a CSV inventory, a key of a JSON one (keys with dots between) or
// an LDAP attribute, for each attribute of a machine. Empty: the default of the kind.
type CenterFields struct {
	ID          string `toml:"id"` // stays the same when the machine is renamed
	Name        string `toml:"name"`
	Host        string `toml:"host"` // what the client dials; default the address, else the name
	IP          string `toml:"ip"`
	OS          string `toml:"os"`
	OU          string `toml:"ou"`
	Description string `toml:"description"`
	Tags        string `toml:"tags"` // a list, or text with ";" between
	Port        string `toml:"port"`
	Protocol    string `toml:"protocol"`
	MAC         string `toml:"mac"`     // for Wake-on-LAN
	Enabled     string `toml:"enabled"` // "false", "no" or "0" for a desktop that must not be offered
}

func (c Center) withDefaults() Center {
	c.Every = cmp.Or(c.Every, defaultCenterEvery)
	if c.MaxVanish == nil {
		percent := defaultMaxVanish
		c.MaxVanish = &percent
	}
	c.Protocol = cmp.Or(c.Protocol, ProtocolRDP)
	c.Fields = c.Fields.withDefaults(c.Kind)
	c.Timeout = cmp.Or(c.Timeout, defaultCenterTimeout)
	if c.Kind == CenterAD {
		c.Filter = cmp.Or(c.Filter, defaultADFilter)
	}
	return c
}

func (f CenterFields) withDefaults(kind string) CenterFields {
	d := CenterFields{
		ID: "id", Name: "name", Host: "host", IP: "ip", OS: "os", OU: "ou", Description: "description", Tags: "tags",
		MAC: "mac", Port: "port", Protocol: "protocol", Enabled: "enabled",
	}
	if kind == CenterAD { // id, ou and enabled follow from the entry itself
		d = CenterFields{Name: "cn", Host: "dNSHostName", OS: "operatingSystem", Description: "description"}
	}
	return CenterFields{
		ID: cmp.Or(f.ID, d.ID), Name: cmp.Or(f.Name, d.Name), Host: cmp.Or(f.Host, d.Host), IP: cmp.Or(f.IP, d.IP), OS: cmp.Or(f.OS, d.OS),
		OU: cmp.Or(f.OU, d.OU), Description: cmp.Or(f.Description, d.Description), Tags: cmp.Or(f.Tags, d.Tags),
		MAC: cmp.Or(f.MAC, d.MAC), Port: cmp.Or(f.Port, d.Port), Protocol: cmp.Or(f.Protocol, d.Protocol), Enabled: cmp.Or(f.Enabled, d.Enabled),
	}
}

// each calls fn with the name of every field and what the source calls it.
func (f CenterFields) each(fn func(field, source string)) {
	fn("id", f.ID)
	fn("name", f.Name)
	fn("host", f.Host)
	fn("ip", f.IP)
	fn("os", f.OS)
	fn("ou", f.OU)
	fn("description", f.Description)
	fn("tags", f.Tags)
	fn("mac", f.MAC)
	fn("port", f.Port)
	fn("protocol", f.Protocol)
	fn("enabled", f.Enabled)
}

func (s Setup) checkCenters(l *problem.List, protocols map[string]int) {
	seen := make(map[string]string)
	for i, c := range s.Centers {
		path := index("center", i)
		checkUnique(l, path, c.Name, seen)
		seen[c.Name] = "center"
		checkSpan(l, path+".every", c.Every, minCenterEvery, maxCenterEvery)
		checkSpan(l, path+".timeout", c.Timeout, time.Second, maxCenterTimeout)
		if *c.MaxVanish < 0 || *c.MaxVanish > 100 {
			l.Addf(path+".max_vanish", "write a number of percent, or leave it out for 50", "%d is not in 0..100", *c.MaxVanish)
		}
		if _, ok := protocols[c.Protocol]; !ok {
			l.Addf(path+".protocol", protocolCure, "unknown protocol %q", c.Protocol)
		}
		if c.Port < 0 || c.Port > 65535 {
			l.Addf(path+".port", "leave it out for the protocol's own", "port %d is not in 1..65535", c.Port)
		}
		c.Fields.each(func(field, source string) {
			if len(source) > maxName || !printable(source) {
				l.Addf(path+".fields."+field, "write the name that the source uses", "%q is no name of a field", source)
			}
		})
		s.checkCenterSource(l, path, c)
	}
}

// checkCenterSource looks at what belongs to one kind, and at what does not.
func (s Setup) checkCenterSource(l *problem.List, path string, c Center) {
	allowed := map[string][]string{
		CenterCSV:  {"csv", "file", "url", "bearer", "ca"},
		CenterHTTP: {"url", "bearer", "ca", "items"},
		CenterAD:   {"directory", "base", "filter"},
	}[c.Kind]
	if allowed == nil {
		l.Addf(path+".kind", `write "csv", "ad" or "http"`, "unknown kind %q of center %q", c.Kind, c.Name)
		return
	}
	for _, k := range []struct {
		key   string
		given bool
	}{
		{"csv", c.CSV != ""}, {"file", c.File != ""}, {"url", c.URL != ""}, {"bearer", c.Bearer != ""}, {"ca", c.CA != ""},
		{"items", c.Items != ""}, {"directory", c.Directory != ""}, {"base", c.Base != ""}, {"filter", c.Filter != ""},
	} {
		if k.given && !strings.Contains(" "+strings.Join(allowed, " ")+" ", " "+k.key+" ") {
			l.Addf(path+"."+k.key, "remove it", "a center of kind %q has no %s", c.Kind, k.key)
		}
	}
	switch c.Kind {
	case CenterAD:
		s.checkCenterDirectory(l, path, c)
	case CenterCSV:
		checkCenterCSV(l, path, c)
	case CenterHTTP:
		if c.URL == "" {
			l.Addf(path+".url", "name where the inventory is", "center %q has no url", c.Name)
		}
	}
	checkCenterURL(l, path, c)
}

func (s Setup) checkCenterDirectory(l *problem.List, path string, c Center) {
	known := false
	for _, d := range s.Directories {
		known = known || d.Name == c.Directory
	}
	if !known {
		l.Addf(path+".directory", "name one of the [[directory]] entries", "unknown directory %q", c.Directory)
	}
	if !strings.HasPrefix(c.Filter, "(") || !strings.HasSuffix(c.Filter, ")") || len(c.Filter) > 1024 || !printable(c.Filter) {
		l.Addf(path+".filter", `write an LDAP filter, e.g. "(objectCategory=computer)"`, "%q is no filter", c.Filter)
	}
	if len(c.Base) > 1024 || !printable(c.Base) {
		l.Addf(path+".base", "write a DN, or leave it out for the directory's base", "%q is no DN", c.Base)
	}
}

func checkCenterCSV(l *problem.List, path string, c Center) {
	given := 0
	for _, v := range []string{c.CSV, c.File, c.URL} {
		if v != "" {
			given++
		}
	}
	switch {
	case given == 0:
		l.Addf(path+".file", "name the file, or a url, or write the text as csv", "center %q has no inventory", c.Name)
	case given > 1:
		l.Addf(path+".file", "leave one of file, url and csv", "center %q has more than one inventory", c.Name)
	case c.File != "":
		l.Addf(path+".file", "apply the setup from its file: what it names is read then", "the text of %q has not been read", c.File)
	case len(c.CSV) > maxInventoryText:
		l.Addf(path+".csv", "serve it over https and name it as url", "the inventory is larger than %d MiB", maxInventoryText>>20)
	case c.CSV != "":
		if _, err := parseCSV(strings.NewReader(c.CSV), c.Fields); err != nil {
			l.Addf(path+".csv", "correct the text", "the inventory cannot be used: %v", err)
		}
	}
}

// checkCenterURL keeps secrets off plain connections.
func checkCenterURL(l *problem.List, path string, c Center) {
	if c.Bearer != "" {
		if err := secret.Check(c.Bearer); err != nil {
			l.Addf(path+".bearer", secret.Cure, "%v", err)
		}
	}
	if c.URL == "" {
		return
	}
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || len(c.URL) > 2048:
		l.Addf(path+".url", `write "https://HOST/PATH"`, "the url of center %q is none", c.Name)
	case u.User != nil:
		l.Addf(path+".url", "name the secret as bearer", "the url of center %q holds a user or password", c.Name)
	case u.Scheme == "http" && c.Bearer != "" && !loopback(u.Hostname()):
		l.Addf(path+".url", "use https", "the bearer secret of center %q would cross the network unencrypted", c.Name)
	}
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// center finds a center of the table.
func (t *table) center(name string) (Center, error) {
	for _, c := range t.setup.Centers {
		if c.Name == name {
			return c, nil
		}
	}
	return Center{}, fmt.Errorf("there is no center %q: %w", name, ErrNotFound)
}
