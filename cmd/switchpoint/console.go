package main

import (
	"context"
	"time"

	"switchpoint/admin"
	"switchpoint/broker/outage/mode"
)

// consolePages are the pages of the console that this node can serve.
func (a *app) consolePages() []admin.Page {
	if a.broker == nil {
		return nil
	}
	return append(admin.ClusterPages(admin.Cluster{
		Name: a.broker.Cluster(), SiteID: a.broker.Node().SiteID,
		Brokers: a.broker.Brokers, RemoveBroker: a.broker.RemoveBroker, Goals: a.broker.Goals,
		Jobs: a.broker.Jobs, JobCounts: a.broker.JobCounts, CancelJob: a.broker.CancelJob, RunJobs: a.broker.RunJobs,
	}), admin.OperationsPage(a.consoleOperations()))
}

// consoleOperations are what the page Operations does, in the same way as the commands.
func (a *app) consoleOperations() admin.Operations {
	o := admin.Operations{
		Status:  a.databaseStatus,
		Drained: a.broker.Drained, Drain: a.beginDrain, EndDrain: a.endDrain,
		Blocks: a.broker.LimitBlocks, Block: a.block, Lift: a.lift,
		Maintenance: a.maintain, EndMaintenance: a.endMaintain, Assign: a.assign,
	}
	if a.outage != nil {
		o.Force, o.Release = a.forceHere, a.releaseHere
	}
	return o
}

// databaseStatus says how the broker stands to its database, as outage status does.
func (a *app) databaseStatus(ctx context.Context) ([]string, error) {
	if a.outage == nil {
		return []string{"it has no outage modes: its database is embedded, or [broker.outage] mode is \"off\""}, nil
	}
	s, err := a.outage.Status(ctx)
	if err != nil {
		return nil, err
	}
	return outageLines(s, time.Now()), nil
}

// forceHere takes an operator's word for this broker alone.
func (a *app) forceHere(ctx context.Context, on bool, lasting time.Duration, why, by string) (string, error) {
	f := &mode.Force{On: on, By: by, Why: why}
	if lasting > 0 {
		f.Until = time.Now().Add(lasting)
	}
	return a.takeWord(ctx, f, by)
}

func (a *app) releaseHere(ctx context.Context, by string) (string, error) {
	return a.takeWord(ctx, nil, by)
}
