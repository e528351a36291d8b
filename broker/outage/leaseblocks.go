package outage

import (
	"context"
	"fmt"
	"strings"
	"time"

	"switchpoint/broker"
)

// copiedBlocks are the blocks of sign-ins that the database had at a moment: a broker that starts in an outage
// and serves from leases goes by them.
type copiedBlocks struct {
	At     time.Time           `json:"at"`
	Blocks []broker.LimitBlock `json:"blocks"`
}

// blocksMost bounds them; those that last longest count.
const blocksMost = 10_000

// copyBlocks copies them from the database.
func (s *Store) copyBlocks(ctx context.Context) error {
	ask, cancel := context.WithTimeout(ctx, leaseAsk)
	defer cancel()
	c := copiedBlocks{At: time.Now()}
	var err error
	if c.Blocks, err = s.Primary.LimitBlocks(ask); err != nil {
		return fmt.Errorf("copy the blocks of sign-ins: %w", err)
	}
	c.Blocks = c.Blocks[:min(len(c.Blocks), blocksMost)]
	return s.node.keep(ctx, keptBlocks, c)
}

// rows are those of the table, by this broker's clock.
func (c copiedBlocks) rows() (list []map[string]any) {
	for _, b := range c.Blocks {
		list = append(list, map[string]any{
			"kind": string(b.Kind), "user": b.User, "source": b.Source, "level": int64(b.Level), "site_id": int64(b.SiteID),
			"since": c.At.Add(-b.Age).UnixMilli(), "until": c.At.Add(b.Left).UnixMilli(), "changed_at": c.At.Add(-b.Changed).UnixMilli(),
			"except_for": strings.Join(b.Except, " "),
		})
	}
	return list
}
