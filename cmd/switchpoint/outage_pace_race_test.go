//go:build race

package main

import "time"

// farmPatience is how long a user of a farm asks brokers again that ask him to wait: on a busy machine the
// files take longer here than a broker waits for them.
const farmPatience = 15 * time.Second

// farmPace is how many users sign in at a farm in a second: all its processes share a few processors here,
// and take ten times as long.
func farmPace() int { return 5 }
