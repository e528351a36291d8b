package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
)

// healthAnswer is what every responder says: a broker's is_alive page on a kept connection.
const healthAnswer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n" +
	"X-Broker-Mode: normal\r\nX-Broker-Active: 3\r\nX-Broker-Capacity: 64\r\n\r\nCB_IS_OKAY"

// Respond is the responder process: it answers is_alive on every address until stdin ends, and
// prints "ready" once it listens.
func Respond(ctx context.Context, addresses []string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var group sync.WaitGroup
	for _, a := range addresses {
		l, err := net.Listen("tcp", a)
		if err != nil {
			return fmt.Errorf("responder: %w", err)
		}
		context.AfterFunc(ctx, func() { _ = l.Close() })
		group.Go(func() { acceptAll(l, &group) })
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return nil // the process ends, and with it every connection
}

func acceptAll(l net.Listener, group *sync.WaitGroup) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // a connection that was gone before it was accepted
		}
		group.Go(func() { answerProbes(conn) })
	}
}

// answerProbes answers each request head on the connection. It reads line by line and looks
// only at where a request ends: it is not what is measured.
func answerProbes(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	r := bufio.NewReaderSize(conn, 1024)
	closing := false
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		switch {
		case len(line) > 2 && string(line) == "Connection: close\r\n":
			closing = true
		case len(line) <= 2:
			if _, err := io.WriteString(conn, healthAnswer); err != nil || closing {
				return
			}
		}
	}
}
