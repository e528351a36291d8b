//go:build !race

package main

import "os"

// farmPatience: a user of a farm asks once, and one who is asked to wait has failed.
const farmPatience = -1

// farmPace is how many users sign in at a farm in a second.
func farmPace() int {
	if os.Getenv("SWITCHPOINT_FAULTS") == "long" {
		return 300
	}
	return 50
}
