package httpbench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// perSource is how many connections come from one source address: one address alone has fewer
// ports than a crowd has members.
const perSource = 4000

// crowd opens t.Conns connections and keeps them until ctx ends. Each idle one has had an answer;
// each slow one sends the head of a request at a byte a second.
func crowd(ctx context.Context, t task, tell func(any) error) error {
	conns := make([]net.Conn, 0, t.Conns)
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	for i := range t.Conns {
		c, err := dialFrom(ctx, i, t.Target)
		if err != nil {
			return fmt.Errorf("after %d connections: %w", i, err)
		}
		conns = append(conns, c)
		if t.Role == roleIdle {
			err = oneAnswer(c, t)
		} else {
			_, err = io.WriteString(c, slowHead[:1])
		}
		if err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
	}
	if err := tell(crowdResult{len(conns)}); err != nil {
		return err
	}
	if t.Role == roleSlow {
		trickle(ctx, conns)
	} else {
		<-ctx.Done()
	}
	return tell(crowdResult{stillOpen(conns)})
}

// slowHead begins a request; 'a' goes on for ever.
const slowHead = "GET /1k HTTP/1.1\r\nHost: " + serverName + "\r\nX-Slow: "

// dialFrom connects from the source address of the i-th connection.
func dialFrom(ctx context.Context, i int, target string) (net.Conn, error) {
	d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i/perSource))}}
	return d.DialContext(ctx, "tcp", target)
}

// oneAnswer makes a request and reads the answer, so that the connection is a kept one.
func oneAnswer(c net.Conn, t task) error {
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, "GET "+t.Path+" HTTP/1.1\r\nHost: "+serverName+"\r\n\r\n"); err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReaderSize(c, 2048), nil)
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, res.Body)
	if err != nil || res.StatusCode != http.StatusOK || int(n) != t.Size {
		return errors.Join(err, fmt.Errorf("answer %s with %d bytes", res.Status, n), res.Body.Close())
	}
	return errors.Join(res.Body.Close(), c.SetDeadline(time.Time{}))
}

// trickle sends one byte a second on each connection, spread over the second, until ctx ends.
func trickle(ctx context.Context, conns []net.Conn) {
	const parts = 20
	tick := time.NewTicker(time.Second / parts)
	defer tick.Stop()
	for n := parts; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		next := "a"
		if at := n / parts; at < len(slowHead) {
			next = slowHead[at : at+1]
		}
		for i := n % parts; i < len(conns); i += parts {
			_, _ = io.WriteString(conns[i], next) // one that the server closed is found in the end
		}
	}
}

// stillOpen counts the connections that the server has neither closed nor answered.
func stillOpen(conns []net.Conn) int {
	open := 0
	var b [1]byte
	for _, c := range conns {
		if c.SetReadDeadline(time.Now().Add(time.Millisecond)) != nil {
			continue
		}
		if _, err := c.Read(b[:]); errors.Is(err, os.ErrDeadlineExceeded) {
			open++
		}
	}
	return open
}
