package lb

import "net"

// This file keeps the connections of pools with send_proxy: each was introduced to the member as
// one client's, so no request of another client may go over it.

// ownConn is the connection to a member that belongs to a client connection, between requests.
type ownConn struct {
	of *upstream
	c  *upConn
}

// introduceTo says on a new connection to a member whose it is.
func (c *clientConn) introduceTo(sock net.Conn, version string) error {
	var space [maxProxyV1]byte
	_, err := sock.Write(appendProxy(space[:0], version, c.from, c.to))
	return err
}

// takeOwn gives the client's own connection to u, where it is still good; any other one that it
// has is of no use any more.
func (c *clientConn) takeOwn(u *upstream, fingerprint string, fresh bool, now int64) *upConn {
	own := c.own
	if c.own = (ownConn{}); own.c == nil {
		return nil
	}
	if fresh || own.of != u || own.c.fingerprint != fingerprint || now-own.c.since > int64(idleUpstream) || !own.c.quiet() {
		own.c.end()
		return nil
	}
	own.c.reused = true
	return own.c
}

// keepOwn keeps a connection whose last answer was read to its end.
func (c *clientConn) keepOwn(u *upstream, conn *upConn, now int64) {
	c.dropOwn()
	if len(conn.data()) > 0 {
		conn.end()
		return
	}
	conn.lend()
	conn.since = now
	c.own = ownConn{u, conn}
}

// dropOwn ends with the client.
func (c *clientConn) dropOwn() {
	if c.own.c != nil {
		c.own.c.end()
		c.own = ownConn{}
	}
}
