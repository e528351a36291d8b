package healthcheck

// Bounds of the probes in flight when the configuration leaves it to us.
const (
	minInFlight     = 16
	maxInFlight     = 4096
	unknownInFlight = 256
)

// inFlightLimit is how many probes may be under way at once: a quarter of the descriptors, so
// that a world of targets that do not answer cannot starve the traffic of the same process.
func inFlightLimit(s Settings) int {
	return inFlight(s.MaxInFlight, descriptorLimit())
}

func inFlight(configured int, descriptors uint64) int {
	switch {
	case configured > 0:
		return configured
	case descriptors == 0:
		return unknownInFlight
	}
	return int(min(max(descriptors/4, minInFlight), maxInFlight))
}

// keptLimit is how many connections may stay open between probes: half of the descriptors.
func keptLimit(descriptors uint64) int {
	if descriptors == 0 {
		return unknownInFlight
	}
	return int(descriptors / 2)
}
