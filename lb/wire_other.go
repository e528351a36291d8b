//go:build !unix

package lb

import "syscall"

// direct is not offered here: connections are read as the net package does it.
type direct struct{ rawConn syscall.RawConn }

func (w *wire) useDescriptor() {}

func (w *wire) fillDirect(first, last bufferClass, limit int64) error { return errFull }

func (w *wire) askDirect(out []byte) (sent int, err error) { return 0, errLoud }

// quiet cannot look here, so every request gets a fresh connection.
func (w *wire) quiet() bool { return false }
