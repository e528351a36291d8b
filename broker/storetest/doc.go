// Package storetest is the contract of broker.Store in executable form: every store must pass
// Run. A change of the contract extends this suite, never the test of one store alone.
package storetest
