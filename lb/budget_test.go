package lb

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestRetryBudget(t *testing.T) {
	var b retryBudget
	take := func(requests uint64) (n int) {
		for n < 100_000 && b.take(requests) {
			n++
		}
		return n
	}
	if n := take(50); n != retryFloor {
		t.Errorf("%d retries of 50 requests", n)
	}
	if n := take(5000); n != 1000-retryFloor {
		t.Errorf("%d more of 5,000", n)
	}
	for range budgetSeconds - 1 {
		b.tick(5000)
	}
	if n := take(5000); n != 0 {
		t.Errorf("%d more after 9 seconds", n)
	}
	b.tick(5000)
	if n := take(5000); n != retryFloor {
		t.Errorf("%d after 10 seconds without requests", n)
	}
}

// TestRetryBudgetUsedUp: a request that may be tried again is not, once too many were.
func TestRetryBudgetUsedUp(t *testing.T) {
	good := startBackend(t, says("good"))
	r := start(t, plainConfig([]Member{{Address: deadAddress(t)}, {Address: good.addr}}))
	pool := r.live.Load().pools[0]
	pool.draws.Store(1) // the next one begins at the dead member
	for pool.budget.take(0) {
		continue
	}
	const request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	first, second := raw(t, r.addr, request), raw(t, r.addr, request)
	refused := testutil.ToFloat64(pool.refusedRetries)
	if refused != 1 || strings.HasPrefix(first, "HTTP/1.1 503 ") == strings.HasPrefix(second, "HTTP/1.1 503 ") {
		t.Errorf("%v refused, got %.40q and %.40q", refused, first, second)
	}
}
