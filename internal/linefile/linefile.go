package linefile

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"

	"github.com/prometheus/client_golang/prometheus"
)

// Options says what a File is to others.
type Options struct {
	Name string             // in messages, such as "the query log"
	Log  *slog.Logger       // where faults are said
	Lost prometheus.Counter // of the lines that could not be written
}

// File is for one goroutine.
type File struct {
	Options

	path   string
	file   *os.File
	torn   bool // the last write ended within a line
	failed bool
}

// New makes a File without a path.
func New(o Options) *File { return &File{Options: o} }

// Follow lets the next lines go to the file at path, which Write opens. An open file stays where path
// still leads to it. An empty path is that of no file.
func (f *File) Follow(path string) {
	if path != f.path || f.moved() {
		f.Close()
		f.path, f.torn = path, false
	}
}

// Write appends text, which is so many whole lines. Without a path they are dropped.
func (f *File) Write(text []byte, lines int) {
	if lines == 0 || f.path == "" {
		return
	}
	err := f.append(text)
	switch {
	case err != nil:
		f.Lost.Add(float64(lines))
		if !f.failed {
			f.Log.Error(f.Name+" cannot be written: its lines are dropped until it can", "file", f.path, "error", err) //nolint:sloglint // the name is a constant of a room
		}
		f.Close() // the next try is on a fresh file
	case f.failed:
		f.Log.Info(f.Name+" is written again", "file", f.path) //nolint:sloglint // as above
	}
	f.failed = err != nil
}

// append writes on a new line where an earlier write broke off.
func (f *File) append(text []byte) error {
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

// moved says whether the path leads to another file than the open one, as after a log rotation.
func (f *File) moved() bool {
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

// Close leaves the file; the next Write opens it again. An error has no use: what was written is written.
func (f *File) Close() {
	if f.file != nil {
		_ = f.file.Close()
		f.file = nil
	}
}
