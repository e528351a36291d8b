package broker

import (
	"switchpoint/directory"
	"switchpoint/healthcheck"
)

// directoryChecks are the checks that a directory's servers are; none without a monitor.
func directoryChecks(c directory.Config) []healthcheck.Key {
	if c.Monitor == "" {
		return nil
	}
	var keys []healthcheck.Key
	for _, address := range c.Addresses() {
		keys = append(keys, healthcheck.Key{Address: address, Monitor: c.Monitor})
	}
	return keys
}

// newDirectory makes the client of a directory with the broker's log and metrics. With a monitor,
// what sign-ins meet joins the state of the servers' checks (HK2).
func (b *Broker) newDirectory(c directory.Config) (*directory.Client, error) {
	o := directory.Options{Config: c, Log: b.log, Metrics: b.o.Metrics}
	if c.Monitor != "" && b.o.Report != nil && b.o.Ref != nil {
		refs := make(map[string]healthcheck.Ref)
		for _, k := range directoryChecks(c) {
			refs[k.Address] = b.o.Ref(k)
		}
		o.Report = func(address string, got directory.Outcome) { b.o.Report(refs[address], outcomeOf(got)) }
	}
	return directory.New(o)
}

// outcomeOf says it in the words of the health engine. A refused sign-in is an answer.
func outcomeOf(o directory.Outcome) healthcheck.Outcome {
	out := healthcheck.Outcome{Traffic: healthcheck.Answered, Latency: o.Took}
	switch {
	case o.TimedOut:
		out.Traffic = healthcheck.TimedOut
	case o.Failed:
		out.Traffic = healthcheck.Reset
	}
	return out
}
