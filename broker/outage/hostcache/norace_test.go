//go:build !race

package hostcache

import "time"

// What TestSize copies is the promised size divided by share, in maxTook at most.
const (
	share   = 1
	maxTook = 5 * time.Second
)
