package logins

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"switchpoint/bench/adminsocket"
)

// Metrics of a broker's queue.
const (
	metricWaiting = "switchpoint_broker_logins_waiting"
	metricLimit   = "switchpoint_broker_logins_waiting_limit"
)

// lowWater is the part of its limit at which a queue that was too long is short again.
const lowWater = 0.25

// watchEvery is how often the queue is looked at.
const watchEvery = 200 * time.Millisecond

// queueWatch is what a broker's queue did in a run.
type queueWatch struct {
	deepest   float64
	low       float64 // the low-water mark when it was last looked at
	overload  bool    // is_alive said 503
	recovered bool    // and 200 again
	recovery  time.Duration
	looks     int
	err       error // the last one
}

// String tells it.
func (w queueWatch) String() string {
	switch {
	case w.looks == 0:
		return fmt.Sprintf("the queue could not be watched: %v", w.err)
	case !w.overload:
		return fmt.Sprintf("is_alive never said 503; %.0f waited at most", w.deepest)
	case !w.recovered:
		return fmt.Sprintf("is_alive did not go back to 200; %.0f waited at most, low-water mark %.0f", w.deepest, w.low)
	}
	return fmt.Sprintf("is_alive said 503 in between; %.0f waited at most, low-water mark %.0f", w.deepest, w.low)
}

// times is how often the page went to 503 and came back: 0 or 1.
func (w queueWatch) times() float64 {
	if w.recovered {
		return 1
	}
	return 0
}

// watchQueue looks at the first broker's queue and its is_alive page until ctx ends. The recovery is
// the time from the last look that found the queue above its low-water mark, while is_alive
// said 503, to the first 200 after it.
func (c *chain) watchQueue(ctx context.Context) queueWatch {
	var w queueWatch
	var high time.Time
	for sleep(ctx, watchEvery) {
		m, err := adminsocket.Metrics(ctx, c.socket(brokerName(0)))
		if err != nil {
			w.err = err
			continue
		}
		status, err := c.askAlive(ctx, c.brokerAddrs[0])
		if err != nil {
			w.err = err
			continue
		}
		w.look(time.Now(), m[metricWaiting], lowWater*m[metricLimit], status, &high)
	}
	return w
}

// look takes one look.
func (w *queueWatch) look(now time.Time, depth, low float64, status int, high *time.Time) {
	w.looks++
	w.deepest, w.low = max(w.deepest, depth), low
	if status != http.StatusOK {
		w.overload, w.recovered = true, false
		if depth > low || high.IsZero() {
			*high = now
		}
		w.recovery = now.Sub(*high)
		return
	}
	if w.overload && !w.recovered {
		w.recovered, w.recovery = true, now.Sub(*high)
	}
}
