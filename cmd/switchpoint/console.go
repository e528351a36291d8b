package main

import "switchpoint/admin"

// consolePages are the pages of the console that this node can serve.
func (a *app) consolePages() []admin.Page {
	if a.broker == nil {
		return nil
	}
	return admin.ClusterPages(admin.Cluster{
		Name: a.broker.Cluster(), SiteID: a.broker.Node().SiteID,
		Brokers: a.broker.Brokers, RemoveBroker: a.broker.RemoveBroker, Goals: a.broker.Goals,
		Jobs: a.broker.Jobs, JobCounts: a.broker.JobCounts, CancelJob: a.broker.CancelJob, RunJobs: a.broker.RunJobs,
	})
}
