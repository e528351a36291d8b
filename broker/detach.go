package broker

import (
	"context"
	"fmt"
	"time"
)

// Leaving is closed when the broker is to leave the cluster: it serves nobody any more, and its worker
// must stop.
func (b *Broker) Leaving() <-chan struct{} { return b.leaving }

// left says whether the broker has left, or is about to.
func (b *Broker) left() bool {
	select {
	case <-b.leaving:
		return true
	default:
		return false
	}
}

// Detach takes this broker out of the cluster for the operator that by names (LV1): from now on it
// serves nobody; when the worker has ended (idle closes), its ended jobs are deleted, and the pending
// ones stay assigned to it until it is removed at another broker. The process goes on without a
// broker; started again with the same database, it joins again (LV3). A failed Detach may be repeated.
func (b *Broker) Detach(ctx context.Context, by string, idle <-chan struct{}) error {
	arrived := time.Now()
	b.detach.Lock()
	defer b.detach.Unlock()
	if !b.left() {
		close(b.leaving)
		b.log.Warn("leaving the cluster", "by", by, "site_id", b.cfg.SiteID)
	}
	select {
	case <-idle:
	case <-ctx.Done():
		return fmt.Errorf("its jobs have not ended: %w", ctx.Err())
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	b.beating.Lock() // a beat under way would bring it back
	defer b.beating.Unlock()
	if err := b.o.Store.Detach(ctx, b.Member()); err != nil {
		return err
	}
	row := b.operatorRow(ctx, LogCluster, by)
	row.Reason = []string{fmt.Sprintf("%s has taken the broker with site id %d out of the cluster; its pending jobs stay its own until it is removed", by, b.cfg.SiteID)}
	b.record(ctx, row, arrived)
	return nil
}
