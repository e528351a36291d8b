package broker

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Kinds of inventory jobs (JQ2).
const (
	KindCenterScan  = "center scan"
	KindPoolRefresh = "pool refresh"

	poolRefreshEvery = 5 * time.Minute
	inventoryBound   = 30 * time.Second // one call of the store by such a job
	maxResult        = 1000             // bytes of the line about a scan
)

// JobHandlers are what runs the jobs of this room, by kind.
func (b *Broker) JobHandlers() map[string]func(context.Context, Job) (string, error) {
	return map[string]func(context.Context, Job) (string, error){
		KindCenterScan:   b.scanJob,
		KindPoolRefresh:  b.poolRefreshJob,
		KindWaitForStart: b.startJob,
		KindDesktopCheck: b.desktopCheckJob,
	}
}

func (b *Broker) poolRefreshJob(ctx context.Context, _ Job) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, inventoryBound)
	defer cancel()
	moved, err := b.o.Store.RefreshPools(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d desktops stand in another pool", moved), nil
}

// scanJob runs the scan of the center that the job names. The recurrence ends with the center.
func (b *Broker) scanJob(ctx context.Context, j Job) (string, error) {
	c, err := b.table.Load().center(j.Target)
	if err != nil {
		if cur, gone := b.centerIsGone(ctx, j.Target); gone {
			_, err := b.o.Store.CancelJob(ctx, j.ID, "the scan: the center is gone")
			return "the center is gone", err
		} else if c = cur; c.Name == "" {
			return "", err
		}
	}
	result, err := b.scan(ctx, c)
	if err != nil && ctx.Err() == nil {
		record, cancel := context.WithTimeout(ctx, inventoryBound)
		defer cancel()
		if endErr := b.o.Store.EndScan(record, c.Name, ScanEnd{Error: shorten(err.Error())}); endErr != nil && !errors.Is(endErr, ErrNotFound) {
			b.log.Warn("the end of a scan could not be recorded", "center", c.Name, "error", endErr)
		}
	}
	return result, err
}

// centerIsGone asks the store: the table of this broker may be a second old.
func (b *Broker) centerIsGone(ctx context.Context, name string) (Center, bool) {
	ctx, cancel := context.WithTimeout(ctx, inventoryBound)
	defer cancel()
	s, _, err := b.o.Store.Setup(ctx)
	if err != nil {
		return Center{}, false
	}
	for _, c := range s.WithDefaults().Centers {
		if c.Name == name {
			return c, false
		}
	}
	return Center{}, true
}

// scan reads a center and writes what is new. Nothing is written before all of it is read, so a scan
// that fails to read changes nothing; one that fails to write is done again, and finds less to do.
func (b *Broker) scan(ctx context.Context, c Center) (string, error) {
	found, err := b.readCenter(ctx, c)
	if err != nil {
		return "", fmt.Errorf("read center %s: %w", c.Name, err)
	}
	have, confirmed, err := b.centerState(ctx, c.Name)
	if err != nil {
		return "", err
	}
	b.checkProtocols(&found, c)
	plan := planScan(have, found, *c.MaxVanish, confirmed)
	var taken []string
	for _, batch := range plan.batches(c.Name) {
		left, err := b.applyScan(ctx, batch)
		if err != nil {
			return "", fmt.Errorf("write center %s: %w", c.Name, err)
		}
		taken = append(taken, left...)
	}
	result := shorten(plan.result(found, taken))
	if plan.waiting > 0 {
		b.log.Warn("a scan waits for an operator", "center", c.Name, "vanished", plan.waiting, "reason", plan.reason)
	}
	ctx, cancel := context.WithTimeout(ctx, inventoryBound)
	defer cancel()
	return result, b.o.Store.EndScan(ctx, c.Name, ScanEnd{Result: result, Found: len(found.Machines), Waiting: plan.waiting})
}

// checkProtocols fills in the protocol and port that a machine leaves out, and takes out machines
// whose protocol is not known.
func (b *Broker) checkProtocols(found *Inventory, c Center) {
	ports := b.table.Load().setup.protocolPorts()
	usable := found.Machines[:0]
	for _, m := range found.Machines {
		if m.Protocol == "" {
			m.Protocol = c.Protocol
			if m.Port == 0 {
				m.Port = c.Port
			}
		}
		port, ok := ports[m.Protocol]
		if !ok {
			found.Bad = append(found.Bad, BadRow{Where: m.Name, Key: m.Key(), Name: m.Name, Why: fmt.Sprintf("unknown protocol %q", m.Protocol)})
			continue
		}
		if m.Port == 0 {
			m.Port = port
		}
		usable = append(usable, m)
	}
	found.Machines = usable
}

func (b *Broker) applyScan(ctx context.Context, batch ScanBatch) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, inventoryBound)
	defer cancel()
	return b.o.Store.ApplyScan(ctx, batch)
}

// centerState is what the store holds of a center.
func (b *Broker) centerState(ctx context.Context, name string) (have []CenterDesktop, confirmed int, err error) {
	ctx, cancel := context.WithTimeout(ctx, inventoryBound)
	defer cancel()
	if have, err = b.o.Store.CenterDesktops(ctx, name); err != nil {
		return nil, 0, err
	}
	list, err := b.o.Store.Centers(ctx)
	for _, s := range list {
		if s.Name == name {
			confirmed = s.Confirmed
		}
	}
	return have, confirmed, err
}

// shorten bounds a line.
func shorten(s string) string {
	if len(s) > maxResult {
		s = s[:maxResult] + "..."
	}
	return noControl(s)
}

// inventoryJobs are the recurring jobs that a setup needs.
func (s Setup) inventoryJobs() []NewJob {
	jobs := []NewJob{
		{Kind: KindPoolRefresh, Every: poolRefreshEvery, Unique: true},
		{Kind: KindDesktopCheck, Every: desktopCheckEvery, Unique: true},
	}
	for _, c := range s.Centers {
		jobs = append(jobs, NewJob{Kind: KindCenterScan, Target: c.Name, Every: c.Every, Unique: true})
	}
	return jobs
}

// syncInventoryJobs brings the queue to what the setup in use needs. Every broker does it: adding what
// is there changes nothing, and the job of a center that is gone ends itself when it runs.
func (b *Broker) syncInventoryJobs(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pollBound)
	defer cancel()
	if _, err := b.AddJobs(ctx, b.table.Load().setup.inventoryJobs()...); err != nil {
		return fmt.Errorf("add the jobs of the inventory: %w", err)
	}
	return nil
}

// ScanCenter puts a scan of the center at the head of the queue, for the operator that by names.
func (b *Broker) ScanCenter(ctx context.Context, name, by string) error {
	arrived := time.Now()
	if _, err := b.table.Load().center(name); err != nil {
		return err
	}
	// Not Unique: the recurring one is in the queue already.
	_, err := b.AddJobs(ctx, NewJob{Kind: KindCenterScan, Target: name})
	if err == nil {
		b.operatorDid(ctx, by, "has asked for a scan of center "+name, arrived)
	}
	return err
}

// Centers lists the centers with how their newest scans went.
func (b *Broker) Centers(ctx context.Context) ([]CenterStatus, error) { return b.o.Store.Centers(ctx) }

// ConfirmVanish lets the next scan of a center mark the desktops that the newest one waits to mark,
// and asks for that scan. who is the operator, for the log.
func (b *Broker) ConfirmVanish(ctx context.Context, center, who string) (int, error) {
	row := b.operatorRow(ctx, LogSetup, who)
	row.Duration = sinceArrival(time.Now())
	row.Reason = []string{fmt.Sprintf("center %s: the vanished desktops were confirmed", center)}
	n, err := b.o.Store.ConfirmVanish(ctx, center, row)
	if err != nil {
		return 0, err
	}
	return n, b.ScanCenter(ctx, center, who)
}
