package lb

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"

	"github.com/prometheus/client_golang/prometheus"
)

// logFile appends lines to a file that may be moved away and may be on a full disk. What cannot be
// written is dropped and counted; the fault is said once, and so is its end.
type logFile struct {
	log  *slog.Logger
	path string
	lost prometheus.Counter

	file   *os.File
	torn   bool // the last write ended within a line
	failed bool
}

// reopen leaves a file that is no longer the one at the path, as after a log rotation. The next
// write opens the new one.
func (f *logFile) reopen() {
	if f.file == nil {
		return
	}
	there, err := os.Stat(f.path)
	if err == nil {
		var open os.FileInfo
		if open, err = f.file.Stat(); err == nil && os.SameFile(there, open) {
			return
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return
	}
	f.close()
	f.torn = false
}

// write appends whole lines.
func (f *logFile) write(text []byte, lines int) {
	if lines == 0 {
		return
	}
	err := f.append(text)
	switch {
	case err != nil:
		f.lost.Add(float64(lines))
		if !f.failed {
			f.log.Error("lb: the access log cannot be written: its lines are dropped until it can", "file", f.path, "error", err)
		}
		f.close() // the next try is on a fresh file
	case f.failed:
		f.log.Info("lb: the access log is written again", "file", f.path)
	}
	f.failed = err != nil
}

// append writes on a new line where an earlier write broke off.
func (f *logFile) append(text []byte) error {
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
	n, err := f.file.Write(text)
	f.torn = err != nil && n > 0 && text[n-1] != '\n'
	return err
}

// close ends with the file. An error has no use: what was written is written.
func (f *logFile) close() {
	if f.file != nil {
		_ = f.file.Close()
		f.file = nil
	}
}
