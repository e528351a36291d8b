package broker

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestIssuerFacts: the key of another cluster is asked for once, again when it does not fit or is old,
// and never more often than every 2 s; who does not answer leaves what was known.
func TestIssuerFacts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := newIssuer()
		var asked atomic.Int32
		var fails atomic.Bool
		silent := errors.New("silent")
		ask := func() (TicketKey, error) {
			time.Sleep(100 * time.Millisecond)
			if asked.Add(1); fails.Load() {
				return TicketKey{}, silent
			}
			return TicketKey{Key: []byte{byte(asked.Load())}, Now: time.Now().Add(time.Minute - 50*time.Millisecond)}, nil
		}
		get := func(unfit *issuerFacts) (*issuerFacts, error) { return one.facts(time.Now(), unfit, ask) }

		fails.Store(true)
		for range 3 {
			if f, err := get(nil); f != nil || !errors.Is(err, silent) || asked.Load() != 1 {
				t.Fatalf("%v, %v, asked %d times", f, err, asked.Load())
			}
		}
		time.Sleep(ticketAskEvery)
		fails.Store(false)
		var wg sync.WaitGroup
		for range 8 { // all wait for the one question
			wg.Go(func() {
				if f, err := get(nil); err != nil || f.key[0] != 2 || f.ahead != time.Minute {
					t.Errorf("%+v, %v", f, err)
				}
			})
		}
		wg.Wait()
		first, _ := get(nil)
		if f, err := get(first); f != first || err != nil || asked.Load() != 2 {
			t.Errorf("a key that does not fit was asked for again at once: %v, %v", f, err)
		}
		time.Sleep(ticketAskEvery)
		if f, err := get(first); err != nil || f.key[0] != 3 {
			t.Errorf("a key that does not fit was not asked for again: %v, %v", f, err)
		}
		fails.Store(true)
		time.Sleep(ticketKeyFresh)
		if f, err := get(nil); err != nil || f.key[0] != 3 || asked.Load() != 4 {
			t.Errorf("an old key is better than none: %v, %v, asked %d times", f, err, asked.Load())
		}
	})
}
