//go:build !unix

package lb

// quiet cannot look here, so every request gets a fresh connection.
func (c *upConn) quiet() bool { return false }

type pollFds struct{}
