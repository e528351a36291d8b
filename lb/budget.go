package lb

import "sync/atomic"

const (
	// budgetSeconds is how far back the retry budget looks.
	budgetSeconds = 10
	// retryFloor is what may be tried again in that time however few requests there were.
	retryFloor = 100
	// retryShare is the share of requests that may be tried again beyond that: one in so many.
	retryShare = 5
)

// retryBudget keeps retries from becoming the load that breaks a pool: within 10 seconds 100 of
// them, or a fifth of the requests if that is more. What the requests pay for it is nothing: they
// are counted anyway.
type retryBudget struct {
	retries atomic.Uint64 // since the beginning
	// Of the last seconds, the oldest one in turn: the counts at their beginning.
	requestsAt [budgetSeconds]atomic.Uint64
	retriesAt  [budgetSeconds]atomic.Uint64
	second     atomic.Uint64
}

// tick begins the next second. requests is how many there were so far.
func (b *retryBudget) tick(requests uint64) {
	i := b.second.Add(1) % budgetSeconds
	b.requestsAt[i].Store(requests)
	b.retriesAt[i].Store(b.retries.Load())
}

// take asks for one retry.
func (b *retryBudget) take(requests uint64) bool {
	i := (b.second.Load() + 1) % budgetSeconds // the oldest
	made := b.retries.Add(1) - b.retriesAt[i].Load()
	if made <= retryFloor || made <= (requests-b.requestsAt[i].Load())/retryShare {
		return true
	}
	b.retries.Add(^uint64(0))
	return false
}
