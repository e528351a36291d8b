// Package ownserver runs a server of the system's packages for the length of a benchmark, as the user
// that its package has made for it.
//
// Invariants: started by root, neither the server nor the tools that prepare it run as root; a server
// ends with the process that started it, however that ends (on Linux).
package ownserver
