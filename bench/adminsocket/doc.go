// Package adminsocket asks running nodes of ours what they measure of themselves.
//
// Every question is a connection of its own, so that a benchmark keeps none open beside what it measures.
// Whatever is not answered with 200 is an error.
package adminsocket
