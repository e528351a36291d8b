//go:build !linux

package healthcheck

// descriptorLimit is how many files this process may have open; 0 when it is not known.
func descriptorLimit() uint64 { return 0 }
