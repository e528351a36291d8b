//go:build !race

package lb

// raceDetector says whether it is in this binary.
const raceDetector = false
