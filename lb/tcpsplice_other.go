//go:build !linux

package lb

// pipes are for Linux only.
type pipes struct{}

func (*pipes) close() {}

// splice moves nothing here: direction.copy does.
func (*direction) splice() (end ending, ok bool) { return open, false }
