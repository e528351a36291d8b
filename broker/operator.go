package broker

import (
	"context"
	"net"
	"time"
)

// operatorAddress is the key under which a context says from where an operator works.
type operatorAddress struct{}

// LocalOperator is the address of whoever works on the host itself, over a Unix socket.
const LocalOperator = "local"

// FromConnection returns a context for the requests of an operator's connection: what he changes is
// written down with its address (BR4).
func FromConnection(ctx context.Context, c net.Conn) context.Context {
	address := LocalOperator
	if tcp, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		address = tcp.AddrPort().Addr().Unmap().String()
	}
	return context.WithValue(ctx, operatorAddress{}, address)
}

// operatorRow starts the log row of a change by an operator.
func (b *Broker) operatorRow(ctx context.Context, kind, by string) LogRow {
	address, _ := ctx.Value(operatorAddress{}).(string)
	row := b.newRow(kind, address, "")
	row.User = clip(by)
	return row
}

// sinceArrival is the duration of a log row; what took less than the database can tell is not nothing.
func sinceArrival(arrived time.Time) time.Duration {
	return max(time.Microsecond, time.Since(arrived))
}
