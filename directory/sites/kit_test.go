package sites

import (
	"strings"
	"testing"
	"time"
)

const testConfig = "CN=Configuration,DC=example,DC=test"

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// obj makes an entry below CN=Sites from lines "attribute: value"; where is the part of its DN above
// that, such as "CN=Prague" or "CN=10.0.0.0/8,CN=Subnets".
func obj(class, where string, lines ...string) entry {
	e := entry{dn: where + ",CN=Sites," + testConfig, attrs: map[string][]string{"objectclass": {"top", class}}}
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		e.attrs[fold(name)] = append(e.attrs[fold(name)], value)
	}
	return e
}

func siteObj(name string) entry { return obj("site", "CN="+name) }

func subnetObj(prefix, site string) entry {
	return obj("subnet", "CN="+prefix+",CN=Subnets", "siteObject: CN="+site+",CN=Sites,"+testConfig)
}

func linkObj(name, cost string, sites ...string) entry {
	lines := []string{"cost: " + cost}
	for _, s := range sites {
		lines = append(lines, "siteList: CN="+s+",CN=Sites,"+testConfig)
	}
	return obj("siteLink", "CN="+name+",CN=IP,CN=Inter-Site Transports", lines...)
}

func bridgeObj(name string, links ...string) entry {
	var lines []string
	for _, l := range links {
		lines = append(lines, "siteLinkList: CN="+l+",CN=IP,CN=Inter-Site Transports,CN=Sites,"+testConfig)
	}
	return obj("siteLinkBridge", "CN="+name+",CN=IP,CN=Inter-Site Transports", lines...)
}

func transportObj(name, options string) entry {
	return obj("interSiteTransport", "CN="+name+",CN=Inter-Site Transports", "options: "+options)
}

func mustSet(t testing.TB, entries ...entry) *Set {
	t.Helper()
	set, err := newSet("test", noon, entries, nil)
	if err != nil {
		t.Fatal(err)
	}
	return set
}
