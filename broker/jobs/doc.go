// Package jobs is the worker of the cluster's job queue: each broker process runs one (CL6).
//
// The queue is rows of the store (broker.JobStore, which also has the diagram of the states). The
// worker claims what is due, runs it with the handler of its kind, and says how it ended:
//
//	      poll, or a hint that a job was added
//	due --------------------------------------> claimed, 8 s lease --handler--> ended -> EndJobs
//	        as many as Allow says                 |       ^                      ^      (in groups)
//	                                              | 2 s   |                      |
//	                                              +-renew-+--lost, cancelled, ---+
//	                                                         stopping: context ends
//
// How much it claims is a pure function of the machine's load, of the jobs that it runs and of the
// logins that its broker has in work: logins come first, and other brokers take what this one
// leaves (CL2).
//
// Invariants:
//   - A run is this worker's while its lease stands, counted by the worker's own monotonic clock
//     from before the claim was sent; then its context ends. The store counts from when the claim
//     arrived, which is later. So the next run of the job does not begin while this one's context
//     stands, whatever the clocks show, and after a SIGSTOP of any length.
//   - Should a handler be slow to return after its context has ended, the next run of its job in
//     the same process waits for it.
//   - An end is repeated until the store has it, or says that the run is lost.
//   - A job that is not known here stays in the queue, for a broker of another version.
//
// Failure rules: a panic of a handler ends its run as aborted and nothing else. A store that does
// not answer costs the leases when it lasts: the jobs are run again. A membership that is no longer
// the newest (the broker was removed, or replaced by another process) costs all claims at once; the
// worker goes on when the broker has joined again. At the end of Run jobs in flight get 5 s, then
// their contexts end and they go back to the queue.
package jobs
