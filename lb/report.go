package lb

import (
	"github.com/valyala/fasthttp"

	"switchpoint/healthcheck"
)

// report tells the health engine how the attempt at the chosen member went (HK2: passive signals
// join the same state). A stale kept-alive connection says nothing about the member.
func (ex *exchange) report(o outcome, ctx *fasthttp.RequestCtx) {
	refs := ex.pool.members[ex.member].check.Refs
	if ex.p.tell == nil || len(refs) == 0 || o == stale {
		return
	}
	ex.p.tell(refs[0], healthcheck.Outcome{Traffic: o.traffic(), Status: ctx.Response.StatusCode(), Latency: ex.ttfb})
}

// traffic is the outcome in the words of the health engine.
func (o outcome) traffic() healthcheck.Traffic {
	switch o {
	case answered:
		return healthcheck.Answered
	case unreachable:
		return healthcheck.Refused
	case timedOut:
		return healthcheck.TimedOut
	default:
		return healthcheck.Reset
	}
}
