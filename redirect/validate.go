package redirect

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"unicode"

	"switchpoint/internal/problem"
)

// The values of Config.Default and Config.HomeUnavailable.
const (
	optionLogInHere = "log-in-here"
	optionReject    = "reject"
	optionRefuse    = "refuse"
)

// Validate reports every fault that can be seen without knowing the destinations.
func (c Config) Validate() error {
	rules, probs := c.check()
	if len(rules) > 0 {
		_, faults := compileRules(c, rules)
		probs = append(probs, faults...)
	}
	return probs.Err()
}

// check validates all but the rules' values, which need Match.
func (c Config) check() ([]Rule, problem.List) {
	var probs problem.List
	rules, err := ParseRules(c.Rules)
	probs.Under("", err)
	if c.Attribute == "" && (len(rules) > 0 || c.Match != "") {
		probs.Addf("attribute", `name the directory attribute that the rules look at, e.g. attribute = "distinguishedName"`, "no attribute")
	}
	if strings.ContainsFunc(c.Attribute, notAttribute) {
		probs.Addf("attribute", "an attribute name has letters, digits, \"-\", \";\" and \".\" only (RFC 4512)", "%q is no attribute name", c.Attribute)
	}
	if _, ok := parseMatch(c.Match); !ok && (len(rules) > 0 || c.Match != "") {
		probs.Addf("match", "use one of: "+strings.Join(matchNames(), ", "), "%q is no kind of match", c.Match)
	}
	if c.Default != "" && c.Default != optionLogInHere && c.Default != optionReject {
		probs.Addf("default", `use "log-in-here" or "reject"`, "%q is no default", c.Default)
	}
	if h := c.HomeUnavailable; h != "" && h != optionRefuse && h != optionLogInHere {
		probs.Addf("home_unavailable", `use "refuse" or "log-in-here"`, "%q is not possible", h)
	}
	return rules, probs
}

func notAttribute(r rune) bool {
	return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != ';' && r != '.'
}

// Validate reports the faults of one destination; that the monitor and the peer exist is checked
// where those are known.
func (d Destination) Validate() error {
	var probs problem.List
	if d.Name == "" {
		probs.Addf("name", "give it the name that the rules use", "no name")
	}
	if strings.ContainsFunc(d.Name, notName) {
		probs.Addf("name", "use a name without spaces, control characters and \">\", e.g. that of the host", "%q cannot stand in a rule", d.Name)
	}
	if d.Cluster == "" {
		probs.Addf("cluster", "name the cluster whose brokers answer there", "no cluster")
	}
	if _, err := d.parseURL(); err != nil {
		probs.Addf("url", `write what a client is told, e.g. url = "https://cb.us.company.com"`, "%s", err)
	} else if _, err := d.ProbeAddress(); err != nil {
		probs.Addf("address", `write host:port, e.g. address = "10.1.0.5:443"`, "%s", err)
	}
	return probs.Err()
}

func notName(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == '>' || r == '"' }

// parseURL accepts http and https with a host and without anything that would leak or confuse.
func (d Destination) parseURL() (*url.URL, error) {
	u, err := url.Parse(d.URL)
	switch {
	case d.URL == "":
		return nil, fmt.Errorf("no url")
	case err != nil:
		return nil, fmt.Errorf("%q is no URL", d.URL)
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("%q is neither https nor http", d.URL)
	case u.Hostname() == "":
		return nil, fmt.Errorf("%q has no host", d.URL)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("%q has a user, a query or a fragment", u.Redacted())
	}
	return u, nil
}

// ProbeAddress gives the host:port to probe: Address, or else that of URL with its scheme's
// default port.
func (d Destination) ProbeAddress() (string, error) {
	if d.Address != "" {
		return checkAddress(d.Address)
	}
	u, err := d.parseURL()
	if err != nil {
		return "", err
	}
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	return checkAddress(net.JoinHostPort(u.Hostname(), port))
}

func checkAddress(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || strings.ContainsFunc(host, notName) {
		return "", fmt.Errorf("%q is not host:port", address)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("%q has no port from 1 to 65535", address)
	}
	return address, nil
}
