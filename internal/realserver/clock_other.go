//go:build !(linux && amd64)

package realserver

import (
	"errors"
	"time"
)

// RunSkewed runs a program with another wall clock, on linux/amd64 only.
func RunSkewed(time.Duration, string, ...string) (int, error) {
	return 0, errors.New("another clock for one program is possible on linux/amd64 only")
}
