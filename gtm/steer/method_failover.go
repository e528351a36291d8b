package steer

// Method "failover": the first in the list that serves.
//
//	members that serve      A and AAAA                          SRV
//	not all overloaded      the first "answers" (default 1)     these at the best priority, then
//	                        in list order                       the others one after the other
//	all overloaded          the same with the largest           the same
//	                        capacity left first (HK4)
//
// Each family has its own first: where the first machine has no IPv6 address, a client that
// speaks only IPv6 gets the next one that has. healthcheck.Serving brings the members into this
// order, so there is nothing to do at a query.
