package broker

import (
	"fmt"
	"strconv"
	"strings"
)

// CheckVersion says whether a broker of version mine may join (CL7); newest is the newest version
// that the cluster has seen, "" for none, and live are the versions that run now.
//
// All brokers of a cluster run the same release, except while it is rolled from one to the next:
// MAJOR.MINOR counts, the rest of a version does not. With every live broker it may differ by one
// MINOR at most, and it may be one MINOR older than newest, because the database has the schema of
// that. Versions of another form (a build without a release number) must be equal among the live.
func CheckVersion(mine, newest string, live []string) error {
	own, numbered := parseRelease(mine)
	for _, v := range live {
		other, ok := parseRelease(v)
		switch {
		case v == mine:
		case !numbered || !ok:
			return fmt.Errorf("%w: this is version %s, and a broker of version %s runs in the cluster; install the same version", ErrConflict, mine, v)
		case !own.near(other):
			return fmt.Errorf("%w: this is version %s, and a broker of version %s runs in the cluster; brokers may differ by one release at most: upgrade one release at a time",
				ErrConflict, mine, v)
		}
	}
	if last, ok := parseRelease(newest); ok && numbered && own.before(last) && !own.near(last) {
		return fmt.Errorf("%w: this is version %s, and the database has been used with version %s; it can be used by that release and the one before it",
			ErrConflict, mine, newest)
	}
	return nil
}

// NewerVersion returns the newer of two versions; one with a release number wins over one without.
func NewerVersion(a, b string) string {
	ra, okA := parseRelease(a)
	rb, okB := parseRelease(b)
	if !okA && okB || okA && okB && ra.before(rb) {
		return b
	}
	return a
}

type release struct{ major, minor int }

func (r release) before(o release) bool {
	return r.major < o.major || r.major == o.major && r.minor < o.minor
}

// near is true for the same release and for neighbours. The step from one MAJOR to the next is
// none: what it breaks is why the number rose.
func (r release) near(o release) bool {
	return r.major == o.major && r.minor-o.minor <= 1 && o.minor-r.minor <= 1
}

// parseRelease reads MAJOR.MINOR out of "v1.2.3", "1.2.3-rc1" or "v1.2".
func parseRelease(version string) (release, bool) {
	major, rest, ok := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	if !ok {
		return release{}, false
	}
	digits := 0
	for digits < len(rest) && '0' <= rest[digits] && rest[digits] <= '9' {
		digits++
	}
	a, errA := strconv.ParseUint(major, 10, 31)
	b, errB := strconv.ParseUint(rest[:digits], 10, 31)
	return release{int(a), int(b)}, errA == nil && errB == nil
}
