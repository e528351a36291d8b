// Package progress shows on a terminal how far a long measurement is: one line, written over
// itself. A writer that fails is no fault of the measurement, and no writer at all is one that
// nobody watches.
package progress
