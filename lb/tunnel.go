package lb

import (
	"sync/atomic"
	"time"
)

// halfTunnelLimit bounds the silence of a tunnel of which one side has ended.
const halfTunnelLimit = time.Minute

// tunnel carries bytes both ways after 101 Switching Protocols, until both sides have ended or
// nothing has moved for the tunnel time-out. An end of one side is passed on as such: the other direction
// goes on. What either side sent right behind its head is the first that is carried.
//
//	client --- copyTo ---> member      a goroutine, which the exchange's own waits for
//	client <--- copyTo --- member
func (ex *exchange) tunnel() {
	c, client := ex.conn, ex.client
	ex.closing, ex.upClose, ex.begun = true, true, true
	ex.out = ex.appendAnswer(ex.out[:0], c.data()[:ex.headLen], frameNone, false)
	c.skip(ex.headLen)
	if _, err := client.Write(ex.out); err != nil {
		return
	}
	ex.keepHead()
	ex.pool.tunnels.Add(1)
	defer ex.pool.tunnels.Add(-1)
	up := make(chan struct{})
	var half atomic.Bool
	go func() {
		defer close(up)
		ex.copyTo(&c.wire, &client.wire, &ex.pool.tunnelUp, &half)
	}()
	ex.copyTo(&client.wire, &c.wire, &ex.pool.tunnelDown, &half)
	<-up
	ex.whole = false
}

// keepHead takes the request's head out of the way of what the client sends from now on: the access
// log tells of it in the end.
func (ex *exchange) keepHead() {
	c := ex.client
	rest := c.data()
	ex.headBuf = c.detach()
	if len(rest) > 0 {
		c.buf = c.pool.get(ex.headBuf.class)
		c.r, c.w = roomBefore, roomBefore+copy(c.buf.b[roomBefore:], rest)
	}
}

// copyTo carries one direction to its end. A fault ends both.
func (ex *exchange) copyTo(dst, src *wire, count *atomic.Int64, half *atomic.Bool) {
	for {
		wait := ex.p.limits.tunnel
		if half.Load() {
			wait = min(wait, halfTunnelLimit)
		}
		if !ex.client.until(ex.p.now() + int64(wait)) {
			break
		}
		if p := src.data(); len(p) > 0 {
			if _, err := dst.Write(p); err != nil {
				break
			}
			count.Add(int64(len(p)))
			src.skip(len(p))
			src.lend()
			continue
		}
		err := src.fill(smallBuffer, headBuffer, 0)
		if isEnd(err) {
			if w, ok := dst.Conn.(interface{ CloseWrite() error }); ok && w.CloseWrite() == nil {
				half.Store(true)
				return
			}
		}
		if err != nil {
			break
		}
	}
	dst.wake()
	src.wake()
}
