package main

import (
	"os"
	"runtime/debug"

	"switchpoint/configs"
)

// gcPercentOfBroker lets the heap of a broker grow to five times of what lives in it between two
// collections, which are then a quarter as many: it lives on tens of megabytes and throws away
// a lot with each login. Measured: a third less CPU for each login (docs/logins.md).
const gcPercentOfBroker = 400

// paceGC is for brokers on their own: the zones of a gtm make the same pace cost gigabytes. GOGC is
// the operator's word and counts.
func paceGC(cfg *configs.Config) {
	if cfg.Broker != nil && cfg.GTM == nil && os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercentOfBroker)
	}
}
