//go:build linux

package healthcheck

import "syscall"

// descriptorLimit is how many files this process may have open; 0 when it is not known.
func descriptorLimit() uint64 {
	var r syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r) != nil {
		return 0
	}
	return r.Cur
}
