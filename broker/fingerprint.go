package broker

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Fingerprint is what a broker shows of its configuration to the others: a hash for each setting that
// all brokers of a cluster must share, "name:hash name:hash", so that it can be said which one differs
// and not only that something does. What belongs to one broker or its place (site_id, addresses,
// certificates, capacity, the balancers in front of it) is not in it.
func (c Config) Fingerprint(version string) string {
	c = c.WithDefaults()
	hosts := slices.Sorted(slices.Values(c.Database.Hosts))
	var out []string
	for _, s := range []struct {
		name  string
		value any
	}{
		{"version", version},
		{"is_alive", c.IsAlive},
		{"answer_within", c.AnswerWithin},
		{"login_deadline", c.LoginDeadline},
		{"limits_exempt", slices.Sorted(slices.Values(c.LimitsExempt))},
		{"session_lifetime", c.SessionLifetime},
		{"session_expiry", c.SessionExpiry},
		{"log_retention", c.LogRetention},
		{"desktop_patience", c.DesktopPatience},
		{"outage.mode", c.Outage.Mode},
		{"outage.serve", c.Outage.Serve},
		{"outage.elect", c.Outage.Elect},
		{"database.kind", c.Database.Kind},
		{"database.hosts", hosts},
		{"database.name", c.Database.Name},
		{"database.tls", c.Database.TLS},
	} {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s=%v", s.name, s.value))
		out = append(out, s.name+":"+hex.EncodeToString(sum[:4]))
	}
	return strings.Join(out, " ")
}

// FingerprintID is the short form of a fingerprint for a table; "" has none.
func FingerprintID(fingerprint string) string {
	if fingerprint == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(fingerprint))
	return hex.EncodeToString(sum[:4])
}

// ConfigDifferences names, by site id, the settings in which a broker differs from most others of the
// list. Where two values are equally frequent, all that have one of them are named. Brokers that were
// stopped do not count: nobody may have looked at them for months.
func ConfigDifferences(list []NodeStatus) map[int][]string {
	values := make(map[string]map[string]int) // setting -> hash -> brokers
	var settings []string
	for _, n := range list {
		if n.Status == StatusStopped {
			continue
		}
		for name, hash := range fingerprintParts(n.Fingerprint) {
			if values[name] == nil {
				values[name] = make(map[string]int)
				settings = append(settings, name)
			}
			values[name][hash]++
		}
	}
	slices.Sort(settings)
	out := make(map[int][]string)
	for _, n := range list {
		parts := fingerprintParts(n.Fingerprint)
		if len(parts) == 0 || n.Status == StatusStopped {
			continue
		}
		for _, name := range settings {
			if alone(values[name], parts[name]) {
				out[n.SiteID] = append(out[n.SiteID], name)
			}
		}
	}
	return out
}

// alone says whether a value is not the one that most have.
func alone(counts map[string]int, value string) bool {
	for other, n := range counts {
		if other != value && n >= counts[value] {
			return true
		}
	}
	return false
}

func fingerprintParts(fingerprint string) map[string]string {
	out := make(map[string]string)
	for _, part := range strings.Fields(fingerprint) {
		if name, hash, ok := strings.Cut(part, ":"); ok {
			out[name] = hash
		}
	}
	return out
}
