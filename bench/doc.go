// Package bench measures Switchpoint against limits and peers, and says what it saw.
//
// Each benchmark runs what it measures in a process of its own, so that CPU time and memory are
// those of the measured part alone; load and responders are further processes of the same
// binary. A run prints the figures with the limit that they are held to, and fails when one
// does not hold.
//
// Invariants: a figure comes from the run that prints it; traffic stays on loopback addresses;
// every process ends with its parent (its standard input is a pipe from it).
//
//	health   100,000 checks: CPU, lateness and memory of the prober, then the same with both
//	         cores saturated while one address in a hundred is killed
package bench
