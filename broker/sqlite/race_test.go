//go:build race

package sqlite

// fewDesktops is the smaller of TestScale's two databases; the other one is a hundred times as large.
// The race detector makes the embedded database ten times as slow.
const fewDesktops = 100
