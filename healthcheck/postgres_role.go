package healthcheck

import (
	"fmt"
	"strconv"
	"strings"

	"switchpoint/internal/problem"
	"switchpoint/internal/secret"
)

func (m Monitor) validatePostgres(l *problem.List) {
	if m.User == "" {
		l.Addf("user", "name a database user who may connect; it needs no other right", "nobody to sign in as")
	}
	if m.Password != "" {
		if err := secret.Check(m.Password); err != nil {
			l.Addf("password", secret.Cure, "%v", err)
		}
	}
	switch m.SSLMode {
	case "verify-full":
	case "require", "disable":
		m.refuseTLSKeys(l, `remove it or write sslmode = "verify-full"`)
	default:
		l.Addf("sslmode", `write "verify-full", "require" or "disable"`, "the sslmode %q is not known here", m.SSLMode)
	}
	switch m.Role {
	case "primary", "replica", "any":
	default:
		l.Addf("role", `write "primary", "replica" or "any"`, "the role %q does not exist", m.Role)
	}
	if m.MaxLag == "" {
		return
	}
	if m.Role != "replica" {
		l.Addf("max_lag", `remove it or write role = "replica"`, "only a replica lags")
	}
	if _, err := parseSize(m.MaxLag); err != nil {
		l.Addf("max_lag", `write a size such as "512kB" or "16MB"`, "%v", err)
	}
}

// parseSize reads a number of bytes with a unit, as PostgreSQL and Patroni write it: B, kB, MB,
// GB, each 1024 of the one before.
func parseSize(s string) (int64, error) {
	digits := strings.TrimRight(s, "kKmMgGbB ")
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%q is no size", s)
	}
	for shift, unit := range [...]string{"B", "KB", "MB", "GB"} {
		if strings.ToUpper(strings.TrimSpace(s[len(digits):])) == unit {
			return int64(n) << (10 * shift), nil
		}
	}
	return 0, fmt.Errorf("%q has no unit", s)
}

// serverFacts is what a server says of itself.
type serverFacts struct {
	recovery  bool  // it replays what another server writes
	readOnly  bool  // transactions may not write
	lag       int64 // bytes received and not replayed; -1 unknown
	streaming bool  // it is connected to the server that it replays
}

// judge compares a server with the role that it should have, as Patroni's /primary and /replica
// do. It is pure.
func (s serverFacts) judge(role string, maxLag int64) (State, string) {
	what := "a primary"
	switch {
	case s.recovery && s.lag < 0:
		what = "a replica, its lag is unknown"
	case s.recovery:
		what = fmt.Sprintf("a replica, %s behind", showSize(s.lag))
	case s.readOnly:
		what = "a primary, but it is read-only (default_transaction_read_only)"
	}
	if s.recovery && !s.streaming {
		what += ", not connected to a primary"
	}
	switch {
	case role == "primary" && (s.recovery || s.readOnly):
		return Down, "it is " + what + ", wanted a primary that can be written to"
	case role == "replica" && !s.recovery:
		return Down, "it is " + what + ", wanted a replica"
	case role == "replica" && maxLag >= 0 && (s.lag < 0 || s.lag > maxLag):
		return Down, "it is " + what + ", wanted at most " + showSize(maxLag)
	}
	return Up, "it is " + what
}

func showSize(n int64) string {
	switch {
	case n >= 10<<20:
		return strconv.FormatInt(n>>20, 10) + " MB"
	case n >= 10<<10:
		return strconv.FormatInt(n>>10, 10) + " kB"
	}
	return strconv.FormatInt(n, 10) + " bytes"
}
