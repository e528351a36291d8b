package broker

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"switchpoint/internal/problem"
	"switchpoint/internal/secret"
)

// Kinds of power actions.
const (
	PowerHTTP = "http"
	PowerWOL  = "wol"
)

// Defaults and bounds of power actions.
const (
	defaultStartTimeout = 5 * time.Minute
	minStartTimeout     = 5 * time.Second
	maxStartTimeout     = time.Hour
	defaultPowerTimeout = 10 * time.Second
	defaultBroadcast    = "255.255.255.255:9"
	// startGrace is how long after its start_timeout a start counts as under way that nobody has ended.
	startGrace = time.Minute
	// startAgain is how long a desktop that did not start is left alone.
	startAgain = time.Minute
)

// Power is a [[power]]: how desktops that are off are started (BR6). A [[desktop_pool]] or a
// [[center]] names it; the pool's counts for a desktop that has both.
type Power struct {
	Name string `toml:"name"`
	Kind string `toml:"kind"` // "http" or "wol"
	// URL is asked to start a desktop, for kind http. {desktop} is its name, {host} what clients
	// dial, {id} what its center knows it by (or its name); they are escaped.
	URL    string `toml:"url"`
	Method string `toml:"method"` // default "POST"
	// Bearer is a secret that goes with the request: "file:PATH" or "env:NAME".
	Bearer  string        `toml:"bearer"`
	CA      string        `toml:"ca"`      // PEM roots for URL; default the system's
	Expect  []int         `toml:"expect"`  // statuses that mean "done"; default 200, 201, 202 and 204
	Timeout time.Duration `toml:"timeout"` // of the request; default 10s
	// Broadcast is where a magic packet with the desktop's MAC address is sent, for kind wol;
	// default 255.255.255.255:9, which reaches the broker's own network only.
	Broadcast string `toml:"broadcast"`
	// StartTimeout is how long a desktop may take until it answers; default 5m.
	StartTimeout time.Duration `toml:"start_timeout"`
}

func (p Power) withDefaults() Power {
	p.StartTimeout = cmp.Or(p.StartTimeout, defaultStartTimeout)
	switch p.Kind {
	case PowerHTTP:
		p.Method = cmp.Or(p.Method, http.MethodPost)
		p.Timeout = cmp.Or(p.Timeout, defaultPowerTimeout)
		if len(p.Expect) == 0 {
			p.Expect = []int{http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent}
		}
	case PowerWOL:
		p.Broadcast = cmp.Or(p.Broadcast, defaultBroadcast)
	}
	return p
}

// checkPowers looks at the actions and at who names them.
func (s Setup) checkPowers(l *problem.List) {
	seen := make(map[string]string)
	for i, p := range s.Powers {
		path := index("power", i)
		checkUnique(l, path, p.Name, seen)
		seen[p.Name] = "power"
		checkSpan(l, path+".start_timeout", p.StartTimeout, minStartTimeout, maxStartTimeout)
		switch p.Kind {
		case PowerHTTP:
			checkPowerHTTP(l, path, p)
		case PowerWOL:
			checkPowerWOL(l, path, p)
		default:
			l.Addf(path+".kind", `write "http" or "wol"`, "unknown kind %q of power action %q", p.Kind, p.Name)
		}
	}
	named := func(path, name string) {
		if _, ok := seen[name]; !ok && name != "" {
			l.Addf(path, "name one of the [[power]] entries", "unknown power action %q", name)
		}
	}
	for i, p := range s.DesktopPools {
		named(index("desktop_pool", i)+".power", p.Power)
	}
	for i, c := range s.Centers {
		named(index("center", i)+".power", c.Power)
	}
}

func checkPowerHTTP(l *problem.List, path string, p Power) {
	if p.Broadcast != "" {
		l.Addf(path+".broadcast", "remove it", "a power action of kind %q has no broadcast", p.Kind)
	}
	checkSpan(l, path+".timeout", p.Timeout, 100*time.Millisecond, time.Minute)
	if !slices.Contains([]string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch}, p.Method) {
		l.Addf(path+".method", `write "GET", "POST", "PUT" or "PATCH"`, "unknown method %q", p.Method)
	}
	for j, status := range p.Expect {
		if status < 200 || status > 299 && status != http.StatusConflict && status != http.StatusNotModified {
			l.Addf(path+"."+index("expect", j), "write statuses from 200 to 299; 304 and 409 are possible for \"it runs already\"", "status %d does not mean that a desktop starts", status)
		}
	}
	if p.Bearer != "" {
		if err := secret.Check(p.Bearer); err != nil {
			l.Addf(path+".bearer", secret.Cure, "%v", err)
		}
	}
	checkPowerURL(l, path, p)
}

func checkPowerURL(l *problem.List, path string, p Power) {
	target, err := p.target(StartTarget{Name: "x", Host: "x"})
	var u *url.URL
	if err == nil {
		u, err = url.Parse(target)
	}
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || len(p.URL) > 2048:
		l.Addf(path+".url", `write "https://HOST/PATH" with {desktop}, {host} or {id} in it`, "the url of power action %q is none", p.Name)
	case u.User != nil:
		l.Addf(path+".url", "name the secret as bearer", "the url of power action %q holds a user or password", p.Name)
	case strings.ContainsAny(authority(p.URL), "{}"):
		l.Addf(path+".url", "put the placeholders into the path or the query", "a placeholder would choose the host that power action %q asks", p.Name)
	case u.Scheme == "http" && p.Bearer != "" && !loopback(u.Hostname()):
		l.Addf(path+".url", "use https", "the bearer secret of power action %q would cross the network unencrypted", p.Name)
	}
}

// authority is the part of a URL between the scheme and the path.
func authority(raw string) string {
	_, rest, _ := strings.Cut(raw, "://")
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	return rest
}

func checkPowerWOL(l *problem.List, path string, p Power) {
	for _, k := range []struct {
		key   string
		given bool
	}{
		{"url", p.URL != ""}, {"method", p.Method != ""}, {"bearer", p.Bearer != ""}, {"ca", p.CA != ""}, {"expect", len(p.Expect) > 0}, {"timeout", p.Timeout != 0},
	} {
		if k.given {
			l.Addf(path+"."+k.key, "remove it", "a power action of kind %q has no %s", p.Kind, k.key)
		}
	}
	if a, err := netip.ParseAddrPort(p.Broadcast); err != nil || a.Port() == 0 {
		l.Addf(path+".broadcast", `write address and port, e.g. "192.0.2.255:9"`, "%q is no address with a port", p.Broadcast)
	}
}

// target is the URL to ask for a desktop.
func (p Power) target(d StartTarget) (string, error) {
	escaped := func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") } // right in a path and in a query
	out := strings.NewReplacer("{desktop}", escaped(d.Name), "{host}", escaped(d.Host), "{id}", escaped(cmp.Or(d.Key, d.Name))).Replace(p.URL)
	if strings.ContainsAny(out, "{}") {
		return "", fmt.Errorf("the url of power action %q has a placeholder that is not known", p.Name)
	}
	return out, nil
}

// parseMAC brings a hardware address (EUI-48) to its usual form.
func parseMAC(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	mac, err := net.ParseMAC(text)
	if err != nil || len(mac) != 6 {
		return "", fmt.Errorf("%q is no MAC address", clip(text))
	}
	return mac.String(), nil
}

// powerOf is the action that starts a desktop.
func (t *table) powerOf(d StartTarget) (Power, bool) {
	name := ""
	for _, p := range t.setup.DesktopPools {
		if p.Name == d.Pool {
			name = p.Power
		}
	}
	for _, c := range t.setup.Centers {
		if c.Name == d.Center && name == "" {
			name = c.Power
		}
	}
	i := slices.IndexFunc(t.setup.Powers, func(p Power) bool { return p.Name == name })
	if i < 0 || name == "" {
		return Power{}, false
	}
	return t.setup.Powers[i], true
}
