package lb

// This file says when a connection to a member belongs to one client only. NTLM, and Negotiate
// where it falls back to NTLM, authenticate a connection and not a request (RFC 4559 6): a second
// client's request on it would be taken for the first one's. So from the first sign of them the
// connection is the client's own, as with send_proxy, and requests stay at its member; it ends
// with the client's connection.

// bindsConnection says whether the value of an authentication field names such a scheme.
func bindsConnection(value []byte) bool {
	for len(value) > 0 {
		n := 0
		for n < len(value) && isTokenByte(value[n]) {
			n++
		}
		if is(value[:n], "ntlm") || is(value[:n], "negotiate") {
			return true
		}
		// The next challenge of a list begins behind a comma. A comma in a parameter makes this
		// look at a parameter's name, which does no harm.
		_, rest, more := cutByte(value[n:], ',')
		if !more {
			return false
		}
		value = trimOWS(rest)
	}
	return false
}

// pins says whether the connection under way is the client's alone.
func (ex *exchange) pins() bool {
	return ex.pool.dial.sendProxy != "" || ex.head.ownConn || ex.answer.ownConn || ex.pinned
}

// pinnedMember is the member that the client's own connection leads to, -1 for none that this
// pool has. One that the member has closed pins nothing any more.
func (ex *exchange) pinnedMember() int {
	own := &ex.client.own
	if own.c == nil || ex.pool.dial.sendProxy != "" {
		return -1
	}
	member := ex.pool.indexOf(own.of.id)
	if member >= 0 && (own.c.fingerprint != ex.pool.dial.fingerprint || !own.c.quiet()) {
		ex.client.dropOwn()
		return -1
	}
	return member
}
