package keptfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// ErrSetAside is in the error of Read when a file was not usable and is out of the way now.
var ErrSetAside = errors.New("set aside")

// Write replaces the file name in dir, for its owner alone (0600). There may be one writer of a file at
// a time.
func Write(dir, name string, content []byte) error {
	if err := replace(dir, name, content); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func replace(dir, name string, content []byte) error {
	// Always the same name, so that crashes leave one such file at most, and an error is the same each
	// time.
	f, err := os.OpenFile(filepath.Join(dir, name+".new"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return SyncDir(dir)
}

// SyncDir makes the names in a directory survive a crash of the machine. Windows has no such call: there
// a directory cannot be opened for it.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}

// Read hands the content of the file name in dir, of at most most bytes, to decode; where there is no
// such file it does nothing. A file that is larger or that decode refuses is set aside.
func Read(dir, name string, most int64, decode func([]byte) error) error {
	content, err := readAll(filepath.Join(dir, name), most)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("read %s: %w", name, err)
	case int64(len(content)) > most:
		err = fmt.Errorf("it has more than %d bytes", most)
	default:
		err = decode(content)
	}
	if err != nil {
		return setAside(filepath.Join(dir, name), err)
	}
	return nil
}

func readAll(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most+1))
}

func setAside(path string, why error) error {
	aside := path + ".broken-" + time.Now().UTC().Format("20060102T150405.000")
	if err := os.Rename(path, aside); err != nil {
		return fmt.Errorf("%s is not usable (%w) and cannot be set aside: %w", path, why, err)
	}
	return fmt.Errorf("%s is not usable and was %w as %s: %w", path, ErrSetAside, aside, why)
}
