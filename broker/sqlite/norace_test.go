//go:build !race

package sqlite

// fewDesktops is the smaller of TestScale's two databases; the other one is a hundred times as large.
const fewDesktops = 500
