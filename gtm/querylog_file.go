package gtm

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"

	"github.com/prometheus/client_golang/prometheus"
)

// logFileBuffer is when lines are written before their second is over.
const logFileBuffer = 64 << 10

// logFile appends lines to a file that may be moved away, may change its path with a reload, and
// may be on a full disk. What cannot be written is dropped and counted; the fault is said once,
// and so is its end.
type logFile struct {
	log  *slog.Logger
	lost prometheus.Counter

	file   *os.File
	path   string
	torn   bool // the last write ended within a line
	failed bool
	buf    []byte
	lines  int // in buf
}

// add puts one line into the buffer.
func (f *logFile) add(line any) {
	text, err := json.Marshal(line)
	if err != nil {
		f.lost.Inc()
		return
	}
	f.buf = append(append(f.buf, text...), '\n')
	f.lines++
}

func (f *logFile) full() bool { return len(f.buf) >= logFileBuffer }

// flush writes the buffer to the file at path; an empty path drops it.
func (f *logFile) flush(path string) {
	lines := f.lines
	defer func() { f.buf, f.lines = f.buf[:0], 0 }()
	if path != f.path || f.moved() {
		f.close()
		f.path, f.torn = path, false
	}
	if lines == 0 || path == "" {
		return
	}
	err := f.write()
	if err != nil {
		f.lost.Add(float64(lines))
		if !f.failed {
			f.log.Error("the query log cannot be written: its lines are dropped until it can", "file", path, "error", err)
		}
		f.close() // the next try is on a fresh file
	} else if f.failed {
		f.log.Info("the query log is written again", "file", path)
	}
	f.failed = err != nil
}

// write appends the buffer, on a new line where an earlier write broke off.
func (f *logFile) write() error {
	if f.file == nil {
		file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640) //nolint:gosec // the operator's path; a log collector of the group may read it
		if err != nil {
			return err
		}
		f.file = file
	}
	if f.torn {
		if _, err := f.file.WriteString("\n"); err != nil {
			return err
		}
		f.torn = false
	}
	n, err := f.file.Write(f.buf)
	f.torn = err != nil && n > 0 && f.buf[n-1] != '\n'
	return err
}

// moved says whether the path leads to another file than the open one, as after a log rotation.
func (f *logFile) moved() bool {
	if f.file == nil {
		return false
	}
	there, err := os.Stat(f.path)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	open, err := f.file.Stat()
	return err != nil || !os.SameFile(there, open)
}

// close ends with the file. An error has no use: what was written is written.
func (f *logFile) close() {
	if f.file != nil {
		_ = f.file.Close()
		f.file = nil
	}
}
