package broker

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFingerprint(t *testing.T) {
	base := Config{Cluster: "uk", SiteID: 1, Listen: []string{"10.0.0.1:443"}, Capacity: 10,
		Database: Database{Kind: KindPostgres, Hosts: []string{"db1:5432", "db2:5432"}}}
	own := base
	own.SiteID, own.Listen, own.Capacity, own.Cert, own.TrustedProxies = 2, []string{"10.9.0.1:443"}, 99, "x.pem", []string{"10.0.0.0/8"}
	own.Database.Hosts, own.Database.Password, own.Database.Connections = []string{"db2:5432", "db1:5432"}, "file:/etc/db", 40
	own.SessionLifetime = DefaultSessionLifetime // spelled out
	if base.Fingerprint("1") != own.Fingerprint("1") {
		t.Error("what belongs to one broker counts as a difference")
	}
	if len(FingerprintID(base.Fingerprint("1"))) != 8 || FingerprintID("") != "" {
		t.Error("short form")
	}
	node := func(site int, version string, change func(*Config)) NodeStatus {
		c := base
		if change != nil {
			change(&c)
		}
		return NodeStatus{Node: Node{SiteID: site, Fingerprint: c.Fingerprint(version)}, Status: StatusRunning}
	}
	short := func(c *Config) { c.SessionLifetime = time.Hour }
	stopped := node(9, "0.9", short)
	stopped.Status = StatusStopped
	for _, c := range []struct {
		list []NodeStatus
		want string
	}{
		{[]NodeStatus{node(1, "1", nil), node(2, "1", nil), stopped}, ""},
		{[]NodeStatus{node(1, "1", nil), node(2, "1", short), node(3, "1", nil)}, "2:session_lifetime"},
		{[]NodeStatus{node(1, "1", nil), node(2, "2", func(c *Config) { c.SessionExpiry = "30m" })}, "1:session_expiry,version 2:session_expiry,version"},
		{[]NodeStatus{node(1, "1", nil), node(2, "1", nil), node(3, "1", func(c *Config) { c.Database.Hosts = c.Database.Hosts[:1] })}, "3:database.hosts"},
		{[]NodeStatus{node(1, "1", nil), {Node: Node{SiteID: 2}}}, ""}, // one that tells nothing
	} {
		found := ConfigDifferences(c.list)
		var got []string
		for _, site := range slices.Sorted(maps.Keys(found)) {
			got = append(got, fmt.Sprintf("%d:%s", site, strings.Join(found[site], ",")))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%q, want %q", strings.Join(got, " "), c.want)
		}
	}
}

func TestExpiryChoices(t *testing.T) {
	for _, text := range append(ExpiryChoices(), "60m", "120s", ExpiryNever) {
		if d, err := parseExpiry(text); err != nil || d == 0 {
			t.Errorf("%q: %s, %v", text, d, err)
		}
	}
	for _, text := range []string{"", "-1m", "3m", "30", "1d", "Never", "49h"} {
		if d, err := parseExpiry(text); err == nil {
			t.Errorf("%q is %s", text, d)
		}
	}
	b := &Broker{cfg: Config{SessionExpiry: "5m"}}
	for _, c := range []struct{ policy, want time.Duration }{{0, 6 * time.Minute}, {-1, 0}, {time.Hour, 61 * time.Minute}} {
		if got := b.idleFor(policy{idle: c.policy}); got != c.want {
			t.Errorf("%s: %s", c.policy, got)
		}
	}
	b.cfg.SessionExpiry = ExpiryNever
	if got := b.idleFor(policy{}); got != 0 {
		t.Errorf("never is %s", got)
	}
}

func TestSessionCache(t *testing.T) {
	var c sessionCache
	now := time.Now()
	one, two := [32]byte{1}, [32]byte{2}
	c.put(one, Session{ID: "1"}, now)
	c.put(one, Session{ID: "older"}, now.Add(-time.Second))
	if s, age, ok := c.get(one, now.Add(time.Second)); !ok || age != time.Second || s.ID != "1" {
		t.Errorf("%+v %s %v", s, age, ok)
	}
	if _, _, ok := c.get(one, now.Add(sessionKeep)); ok {
		t.Error("kept for too long")
	}
	if !c.touch(one, now) || c.touch(one, now.Add(touchEvery-1)) || !c.touch(one, now.Add(touchEvery)) || c.touch(two, now) {
		t.Error("touch")
	}
	c.untouch(one)
	if !c.touch(one, now.Add(touchEvery+1)) {
		t.Error("a touch that failed is not repeated")
	}
	c.end(one, now) // an answer that was under way comes later
	c.put(one, Session{ID: "1"}, now.Add(time.Second))
	c.drop(one)
	if _, _, ok := c.get(one, now); ok {
		t.Error("an ended session is back")
	}
	c.sweep(now.Add(sessionKeep))
	if len(c.entries) != 0 {
		t.Errorf("%d entries", len(c.entries))
	}
	for i := range maxSessionsKept + 10 {
		c.put([32]byte{byte(i), byte(i >> 8), byte(i >> 16), 1}, Session{}, now)
	}
	if n := len(c.entries); n > maxSessionsKept || n < maxSessionsKept/2 {
		t.Errorf("%d entries", n)
	}
	last := maxSessionsKept + 9
	if _, _, ok := c.get([32]byte{byte(last), byte(last >> 8), byte(last >> 16), 1}, now); !ok {
		t.Error("the newest is not kept")
	}
}
