// Package ownca is a certificate authority for the length of one process: of the demo, of a benchmark,
// of the conformance target, of a test. All keys are ECDSA P-256.
//
// Invariants: the authority's own key never leaves memory, so that nobody can issue with it afterwards;
// files with keys are readable by their owner only.
package ownca
