package broker

import (
	"context"
	"slices"
	"time"
)

// LimitCount is what one broker has counted against a key in one part of a window.
type LimitCount struct {
	LimitKey
	// Bad are failures, Good users that signed in. Negative: so many of those told before do not count
	// any more, because the user has signed in.
	Bad  int `json:"bad,omitempty"`
	Good int `json:"good,omitempty"`
	// Age is how long ago it was.
	Age time.Duration `json:"age"`
}

// LimitBatch is what one broker has counted since its last one.
type LimitBatch struct {
	ID     string // UUIDv7; writing the same twice counts once
	Counts []LimitCount
}

// LimitBlock is a block, with its times as distances from now: no two clocks are compared.
type LimitBlock struct {
	LimitKey
	Level  int           // the how many-th in a row it is, from 1
	SiteID int           // of the broker that made it
	Age    time.Duration // since it was made
	Left   time.Duration // until it ends; 0 and less: it is over, or was lifted
	// Except are the addresses from which the user has signed in before; a block of a user does not hold there.
	Except []string
	// Version tells two states of a block apart; Changed is how long ago this one was written. Both come
	// from the store.
	Version int64
	Changed time.Duration
}

// LimitExchange is what a broker says to the others, and since when it wants to know what they said.
type LimitExchange struct {
	SiteID int
	Batch  LimitBatch // without an ID: nothing to say
	Blocks []LimitBlock
	// Mark is that of the last LimitNews; 0: everything younger than Within.
	Mark   int64
	Within time.Duration
	// Own is the mark of the last LimitNews that was Local; 0: there was none.
	Own int64
}

// LimitNews is what was written since the mark, and, as transactions may end late, a little more: the
// caller tells by ID and Version what it knows already.
type LimitNews struct {
	Mark    int64
	Batches []LimitBatch // of other brokers, the oldest first
	Blocks  []LimitBlock // of all
	// Local: it comes out of this broker's own files, where no other one reads or writes. The blocks that
	// were said are in its journal; the counts are to be said again.
	Local bool
}

// LimitStore is how the brokers of a cluster tell each other of failed sign-ins. None of it is on the way
// of a login.
type LimitStore interface {
	// ExchangeLimits writes and reads in one transaction. A block is written unless a later one stands for
	// its key, or one that ends later: only an operator's newest word may end sooner. That of a user is
	// written with the addresses of his sessions as Except.
	ExchangeLimits(ctx context.Context, q LimitExchange) (LimitNews, error)
	// LimitBlocks lists the blocks that hold now.
	LimitBlocks(ctx context.Context) ([]LimitBlock, error)
	// LiftLimits ends those of the blocks that hold, and returns which these were.
	LiftLimits(ctx context.Context, keys []LimitKey, log LogRow) ([]LimitKey, error)
}

// maxExcept bounds the addresses that a block leaves out.
const maxExcept = 64

// Excepted are the addresses of a user's sessions in the form of LimitBlock.Except.
func Excepted(clientAddrs []string) []string {
	var out []string
	for _, a := range clientAddrs {
		if s, _ := limitSource(a); s != "" && !slices.Contains(out, s) && len(out) < maxExcept {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return out
}
