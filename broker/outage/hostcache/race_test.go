//go:build race

package hostcache

import "time"

// What TestSize copies is the promised size divided by share, in maxTook at most. The race detector makes
// the embedded database ten times as slow.
const (
	share   = 20
	maxTook = 20 * time.Second
)
