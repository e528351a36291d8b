package broker

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// KindDesktopCheck is the job that watches over desktops (JQ2).
const KindDesktopCheck = "desktop_check"

const (
	desktopCheckEvery = time.Minute
	desktopsPerPage   = 512
	desktopsTogether  = 64 // dialled at once
)

// desktopCheckJob ends what nobody else can end: waiting for a reset that is not reported, and claims
// of desktops that have no agent and do not answer any more (BR5). A desktop that answers stays its
// user's until he signs out or his session expires.
func (b *Broker) desktopCheckJob(ctx context.Context, _ Job) (string, error) {
	sweep, err := b.sweepDesktops(ctx)
	if err != nil {
		return "", err
	}
	if sweep.Quarantined > 0 {
		b.log.Warn("desktops are quarantined: they did not report a clean reset in time", "desktops", sweep.Quarantined)
	}
	probed, ended := 0, 0
	for after := ""; ; {
		page, err := b.unwatched(ctx, after)
		if err != nil {
			return "", err
		}
		n, err := b.probeClaims(ctx, page)
		if err != nil {
			return "", err
		}
		probed, ended = probed+len(page), ended+n
		if len(page) < desktopsPerPage {
			break
		}
		after = page[len(page)-1].ID
	}
	return fmt.Sprintf("%d quarantined, %d silent; %d in use without an agent, %d of them given up", sweep.Quarantined, sweep.Silent, probed, ended), nil
}

func (b *Broker) sweepDesktops(ctx context.Context) (DesktopSweep, error) {
	ctx, cancel := context.WithTimeout(ctx, inventoryBound)
	defer cancel()
	return b.o.Store.SweepDesktops(ctx)
}

func (b *Broker) unwatched(ctx context.Context, after string) ([]UnwatchedClaim, error) {
	ctx, cancel := context.WithTimeout(ctx, inventoryBound)
	defer cancel()
	return b.o.Store.UnwatchedClaims(ctx, after, desktopsPerPage)
}

// probeClaims dials the desktops and keeps which answered.
func (b *Broker) probeClaims(ctx context.Context, page []UnwatchedClaim) (ended int, err error) {
	if len(page) == 0 {
		return 0, nil
	}
	up := make([]bool, len(page))
	for few := range slices.Chunk(indexes(len(page)), desktopsTogether) {
		var wg sync.WaitGroup
		for _, i := range few {
			wg.Go(func() { up[i] = dial(ctx, Candidate{Host: page[i].Host, Port: page[i].Port}) })
		}
		wg.Wait()
	}
	if ctx.Err() != nil { // what was not asked does not count as silent
		return 0, ctx.Err()
	}
	var answer, silent []string
	for i, c := range page {
		if up[i] {
			answer = append(answer, c.ID)
		} else {
			silent = append(silent, c.ID)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, inventoryBound)
	defer cancel()
	return b.o.Store.RecordProbes(ctx, answer, silent, b.cfg.DesktopPatience)
}

func indexes(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}
