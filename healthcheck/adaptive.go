package healthcheck

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	adaptiveSamples = 10               // fewer give no mean to compare with
	adaptiveNoise   = time.Millisecond // a smaller difference is never too slow
)

// adaptive is the compiled latency limit of a monitor.
type adaptive struct {
	share    float64       // of the mean, over it; 0: not said
	over     time.Duration // over the mean; 0: not said
	limit    time.Duration // 0: not said
	timespan time.Duration
}

// latency is the sliding mean of one check.
type latency struct {
	mean time.Duration
	n    int // samples, up to adaptiveSamples
	at   time.Time
}

func newAdaptive(j Judging) (adaptive, error) {
	a := adaptive{limit: j.AdaptiveLimit, timespan: j.AdaptiveTimespan}
	percent, isShare := strings.CutSuffix(j.AdaptiveDivergence, "%")
	switch {
	case j.AdaptiveDivergence == "":
		return a, nil
	case isShare:
		n, err := strconv.Atoi(percent)
		if err != nil || n < 1 || n > 10000 {
			return a, fmt.Errorf("%q is no percentage from 1%% to 10000%%", j.AdaptiveDivergence)
		}
		a.share = float64(n) / 100
		return a, nil
	}
	d, err := time.ParseDuration(j.AdaptiveDivergence)
	if err != nil || d <= 0 {
		return a, fmt.Errorf("%q is neither a percentage nor a positive duration", j.AdaptiveDivergence)
	}
	a.over = d
	return a, nil
}

// on says that there is a limit at all.
func (a adaptive) on() bool { return a.share > 0 || a.over > 0 || a.limit > 0 }

// latencyOf is what the limit looks at: the time to the first byte, or for kinds that see none
// the time to connect, or else the whole probe.
func latencyOf(r Result) time.Duration {
	switch {
	case r.TTFB > 0:
		return r.TTFB
	case r.Dial > 0:
		return r.Dial
	}
	return r.Total
}

// judge says whether a success that took d is too slow (a reason), and what the mean is then. It
// is pure. Slow successes enter the mean too: a target that became slower for good is compared
// with its new self once the timespan is over.
func (a adaptive) judge(l latency, d time.Duration, now time.Time) (latency, string) {
	why := ""
	known := l.n >= adaptiveSamples && d-l.mean > adaptiveNoise
	switch {
	case a.limit > 0 && d > a.limit:
		why = fmt.Sprintf("answered in %s, slower than %s", short(d), short(a.limit))
	case known && a.share > 0 && float64(d) > float64(l.mean)*(1+a.share):
		why = fmt.Sprintf("answered in %s, more than %.0f%% over its mean of %s", short(d), a.share*100, short(l.mean))
	case known && a.over > 0 && d > l.mean+a.over:
		why = fmt.Sprintf("answered in %s, more than %s over its mean of %s", short(d), short(a.over), short(l.mean))
	}
	weight := 1 / float64(l.n+1) // a plain mean until there are enough samples
	if l.n >= adaptiveSamples {
		weight = 1 - math.Exp(-float64(now.Sub(l.at))/float64(max(a.timespan, 1)))
	}
	return latency{
		mean: l.mean + time.Duration(float64(d-l.mean)*weight),
		n:    min(l.n+1, adaptiveSamples), at: now,
	}, why
}
