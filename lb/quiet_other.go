//go:build !unix

package lb

// quiet cannot look here, so a request that may not be repeated gets a fresh connection.
func (c *upConn) quiet() bool { return false }
